"""django-tasks-db, the database backend that came with the reference for django.tasks."""

from typing import Any

from tests.benchmarks.peers.peer import Peer, manage


class DjangoTasksDB(Peer):
    """django-tasks-db by its README; it has no bulk push and no concurrency."""

    name = "django-tasks-db"
    packages = ("django-tasks-db",)
    databases = ("sqlite", "postgresql", "mariadb")
    apps = ("django_tasks_db",)
    tasks = "core"
    installed = "`db_worker`, which polls every second"
    best = "`db_worker --interval 0.01 -v0`; SQLite with WAL, or kept connections"

    @property
    def poll(self) -> float:
        """Its --interval."""
        return 0.01 if self.place.tuned else 1.0

    def settings(self) -> dict[str, Any]:
        """Name the backend."""
        return {"TASKS": {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}}

    def worker(self) -> list[str]:
        """Start db_worker."""
        return manage("db_worker", *(["--interval", "0.01", "-v0"] if self.place.tuned else []))

    def push(self) -> None:
        """Push by Django's own API."""
        from tests.benchmarks.peers.tasks.core import noop

        noop.enqueue()

    def unfinished(self) -> int:
        """Count results that are ready or running."""
        from django_tasks_db.models import DBTaskResult

        waiting: int = DBTaskResult.objects.filter(status__in=("READY", "RUNNING")).count()
        return waiting
