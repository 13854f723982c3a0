"""RQ with Redis."""

import sys
from functools import cached_property
from typing import Any

from tests.benchmarks.peers.peer import Peer


class RQ(Peer):
    """RQ; it stores what a task returned for 500 seconds."""

    name = "rq"
    packages = ("rq", "redis")
    databases = ("redis",)
    bulk = True
    installed = "`rq worker`, which forks a process for each task"
    best = "`rq worker --worker-class rq.SimpleWorker --quiet`, which runs tasks in its own process"

    def prepare(self) -> None:
        """Do nothing: Redis needs no tables."""

    def worker(self) -> list[str]:
        """Start its own command."""
        tuning = ["--worker-class", "rq.SimpleWorker", "--quiet"] if self.place.tuned else []
        start = [sys.executable, "-m", "rq.cli", "worker", "--url", self.place.url]
        return [*start, *tuning, "default"]

    @cached_property
    def _queue(self) -> Any:
        from redis import Redis
        from rq import Queue

        return Queue("default", connection=Redis.from_url(self.place.url))

    def push(self) -> None:
        """Enqueue one job."""
        self._queue.enqueue("tests.benchmarks.peers.tasks.plain.noop")

    def push_many(self, count: int) -> None:
        """Enqueue many jobs in one call."""
        from rq import Queue

        job = "tests.benchmarks.peers.tasks.plain.noop"
        self._queue.enqueue_many([Queue.prepare_data(job) for _ in range(count)])

    def unfinished(self) -> int:
        """Count jobs in the queue, and those that have started."""
        return int(self._queue.count) + int(self._queue.started_job_registry.count)
