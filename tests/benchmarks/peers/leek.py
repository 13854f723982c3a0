"""leek itself."""

from typing import Any

from tests.benchmarks.peers.peer import Peer, manage


class Leek(Peer):
    """leek by its README."""

    name = "leek"
    packages = ("django-leek",)
    databases = ("sqlite", "postgresql", "mariadb")
    apps = ("leek",)
    bulk = True
    installed = "`leek_server`, Django's own database settings"
    best = "the README's SQLite settings or kept connections; `leek_server -v0`; one Worker thread"

    def settings(self) -> dict[str, Any]:
        """Name the port."""
        return {"TASKS_QUEUE": {"TASKS_PORT": self.place.port}}

    def worker(self) -> list[str]:
        """Start leek_server."""
        return manage("leek_server", *(["-v0"] if self.place.tuned else []))

    def push(self) -> None:
        """Push by the public function."""
        from leek.api import push_task_to_queue
        from tests.benchmarks.peers.tasks.plain import noop

        push_task_to_queue(noop)

    def push_many(self, count: int) -> None:
        """Push by the public function for many."""
        from leek.api import push_many
        from tests.benchmarks.peers.tasks.plain import noop

        push_many([(noop, (), {})] * count)

    def unfinished(self) -> int:
        """Count rows that are ready or running."""
        from leek.models import QueuedTasks, State

        return QueuedTasks.objects.filter(state__in=(State.READY, State.RUNNING)).count()
