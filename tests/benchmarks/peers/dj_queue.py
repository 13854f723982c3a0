"""dj-queue, which is shaped after Solid Queue."""

from typing import Any

from tests.benchmarks.peers.peer import Peer, manage


class DjQueue(Peer):
    """dj-queue by its README."""

    name = "dj-queue"
    packages = ("dj-queue",)
    databases = ("sqlite", "postgresql", "mariadb")
    apps = ("dj_queue",)
    tasks = "core"
    bulk = True
    installed = (
        "`dj_queue`: a supervisor forks a worker of 3 threads, a dispatcher and a scheduler; polls "
        "every 0.1 s, on PostgreSQL also woken by NOTIFY"
    )
    best = (
        "`mode` async (one process), 4 threads (1 on SQLite), `prefetch_multiplier` 50, "
        "`polling_interval` 0.01; SQLite with WAL, or kept connections"
    )

    @property
    def poll(self) -> float:
        """Its polling_interval, unless it is woken."""
        if self.place.database == "postgresql":
            return 0.0
        return 0.01 if self.place.tuned else 0.1

    def settings(self) -> dict[str, Any]:
        """Name the backend, its router and its options."""
        worker = {
            "queues": "*",
            "threads": 1 if self.place.database == "sqlite" else 4,
            "prefetch_multiplier": 50,
            "polling_interval": 0.01,
        }
        options = {"mode": "async", "workers": [worker]} if self.place.tuned else {}
        backend = {"BACKEND": "dj_queue.backend.DjQueueBackend", "QUEUES": [], "OPTIONS": options}
        return {
            "TASKS": {"default": backend},
            "DATABASE_ROUTERS": ["dj_queue.routers.DjQueueRouter"],
        }

    def worker(self) -> list[str]:
        """Start its supervisor."""
        return manage("dj_queue")

    def push(self) -> None:
        """Push by Django's own API."""
        from tests.benchmarks.peers.tasks.core import noop

        noop.enqueue()

    def push_many(self, count: int) -> None:
        """Push by its backend's call for many."""
        from tests.benchmarks.peers.tasks.core import noop

        noop.get_backend().enqueue_all([(noop, [], {})] * count)  # type: ignore[attr-defined]

    def unfinished(self) -> int:
        """Count jobs without an end."""
        from dj_queue.models import Job

        waiting: int = Job.objects.filter(finished_at=None).count()
        return waiting
