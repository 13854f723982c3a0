"""django-ox."""

from typing import Any

from tests.benchmarks.peers.peer import Peer, manage


class DjangoOx(Peer):
    """django-ox by its README."""

    name = "django-ox"
    packages = ("django-ox",)
    databases = ("sqlite", "postgresql", "mariadb")
    apps = ("django_ox",)
    tasks = "core"
    bulk = True
    installed = "`ox_worker`, one task at a time, polls every second"
    best = (
        "`ox_worker --concurrency 4 --interval 0.01 -v0` (1 on SQLite); SQLite with WAL, or kept "
        "connections"
    )

    @property
    def poll(self) -> float:
        """Its --interval."""
        return 0.01 if self.place.tuned else 1.0

    def settings(self) -> dict[str, Any]:
        """Name the backend."""
        return {"TASKS": {"default": {"BACKEND": "django_ox.backend.OxBackend"}}}

    def worker(self) -> list[str]:
        """Start ox_worker."""
        threads = "1" if self.place.database == "sqlite" else "4"
        tuning = ["--concurrency", threads, "--interval", "0.01", "-v0"]
        return manage("ox_worker", *(tuning if self.place.tuned else []))

    def push(self) -> None:
        """Push by Django's own API."""
        from tests.benchmarks.peers.tasks.core import noop

        noop.enqueue()

    def push_many(self, count: int) -> None:
        """Push by its bulk function."""
        from django_ox.bulk import enqueue_many

        from tests.benchmarks.peers.tasks.core import noop

        enqueue_many(noop, [((), {})] * count)

    def unfinished(self) -> int:
        """Count tasks that are ready or running."""
        from django_ox.models import OxTask

        waiting: int = OxTask.objects.filter(status__in=("READY", "RUNNING")).count()
        return waiting
