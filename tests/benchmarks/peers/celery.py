"""Celery with Redis."""

import sys
from typing import Any

from tests.benchmarks.peers.peer import Peer


class Celery(Peer):
    """Celery; it has no bulk push, and stores no results unless asked to."""

    name = "celery"
    packages = ("celery", "redis")
    databases = ("redis",)
    tasks = "celery"
    installed = (
        "`celery worker`: a supervisor and a forked process for each core, no result backend"
    )
    best = (
        "`--pool solo`, which runs tasks in the worker's own process, faster here than threads, "
        "`--without-gossip --without-mingle --without-heartbeat --loglevel WARNING`, "
        "`worker_prefetch_multiplier` 100"
    )

    def settings(self) -> dict[str, Any]:
        """Name the broker."""
        tuning = {"CELERY_WORKER_PREFETCH_MULTIPLIER": 100}
        return {"CELERY_BROKER_URL": self.place.url, **(tuning if self.place.tuned else {})}

    def prepare(self) -> None:
        """Do nothing: Redis needs no tables."""

    def worker(self) -> list[str]:
        """Start its own command."""
        leave_out = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        tuning = ["--pool", "solo", *leave_out, "--loglevel", "WARNING"]
        start = [sys.executable, "-m", "celery", "-A", "tests.benchmarks.peers.tasks.celery"]
        return [*start, "worker", *(tuning if self.place.tuned else ["--loglevel", "INFO"])]

    def push(self) -> None:
        """Send the message."""
        from tests.benchmarks.peers.tasks.celery import noop

        noop.delay()

    def unfinished(self) -> int:
        """Count messages in the queue, and those not acknowledged."""
        from tests.benchmarks.peers.redis import client

        with client(self.place.url) as redis:
            return int(redis.llen("celery")) + int(redis.hlen("unacked"))
