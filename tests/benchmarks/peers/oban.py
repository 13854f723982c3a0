"""Oban for Python, which knows no Django: its own program runs the jobs."""

import asyncio
import sys
from functools import cached_property
from typing import Any

from tests.benchmarks.peers.peer import Peer


class Oban(Peer):
    """oban on PostgreSQL, pushed to from a loop of its own that is kept."""

    name = "oban"
    packages = ("oban",)
    databases = ("postgresql",)
    tasks = "oban"
    bulk = True
    installed = "`oban start --queues default:10`, woken by NOTIFY; tasks are coroutines"
    best = "`oban start --queues default:100 --pool-max-size 20 --log-level WARNING`"

    def prepare(self) -> None:
        """Install its schema."""
        from oban.schema import install

        async def run() -> None:
            pool = await self._pool()
            await install(pool)
            await pool.close()

        asyncio.run(run())

    async def _pool(self) -> Any:
        from oban import Oban as Queue

        return await Queue.create_pool(self.place.url)

    def worker(self) -> list[str]:
        """Start its own command; naming the module keeps it from searching the folder."""
        tuning = ["--pool-max-size", "20", "--log-level", "WARNING"] if self.place.tuned else []
        queue = "default:100" if self.place.tuned else "default:10"
        modules = ["--cron-modules", "tests.benchmarks.peers.tasks.oban"]
        start = [sys.executable, "-m", "oban", "start", "--dsn", self.place.url]
        return [*start, "--queues", queue, *modules, *tuning]

    @cached_property
    def _queue(self) -> "tuple[Any, asyncio.AbstractEventLoop]":
        from oban import Oban as Queue

        loop = asyncio.new_event_loop()

        async def start() -> Any:
            queue = Queue(pool=await self._pool())
            return await queue.start()

        return loop.run_until_complete(start()), loop

    def push(self) -> None:
        """Enqueue one job."""
        queue, loop = self._queue
        loop.run_until_complete(queue.enqueue(self._new()))

    def push_many(self, count: int) -> None:
        """Enqueue many jobs in one call."""
        queue, loop = self._queue
        loop.run_until_complete(queue.enqueue_many([self._new() for _ in range(count)]))

    def _new(self) -> Any:
        from tests.benchmarks.peers.tasks import oban

        task: Any = oban.Noop
        return task.new()

    def unfinished(self) -> int:
        """Count jobs that are available or executing."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM oban_jobs WHERE state NOT IN ('completed', 'discarded')"
            )
            waiting: int = cursor.fetchone()[0]
        return waiting
