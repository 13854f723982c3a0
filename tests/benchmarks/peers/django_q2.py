"""Django Q2 with its ORM broker."""

from typing import Any

from tests.benchmarks.peers.peer import Peer, manage


class DjangoQ2(Peer):
    """Django Q2; it has no bulk push."""

    name = "django-q2"
    packages = ("django-q2",)
    databases = ("sqlite",)
    apps = ("django_q",)
    installed = (
        "`qcluster` with the ORM broker: a process for each core, with a pusher, a monitor and a "
        "sentinel; polls every 0.2 s; keeps the last 250 successes"
    )
    best = (
        "`workers` 1 (it can only fork), `bulk` 100, `queue_limit` 1000, `poll` 0.01, no "
        "scheduler; SQLite with WAL"
    )

    @property
    def poll(self) -> float:
        """Its poll."""
        return 0.01 if self.place.tuned else 0.2

    def settings(self) -> dict[str, Any]:
        """Name the broker; the time limits are those of its own example."""
        common = {"name": "peers", "orm": "default", "timeout": 60, "retry": 120}
        tuning = {
            "workers": 1,
            "bulk": 100,
            "queue_limit": 1000,
            "poll": 0.01,
            "scheduler": False,
            "recycle": 1_000_000,
            "log_level": "WARNING",
        }
        return {"Q_CLUSTER": {**common, **(tuning if self.place.tuned else {})}}

    def worker(self) -> list[str]:
        """Start its cluster."""
        return manage("qcluster")

    def push(self) -> None:
        """Push by its public function."""
        from django_q.tasks import async_task

        async_task("tests.benchmarks.peers.tasks.plain.noop")

    def unfinished(self) -> int:
        """Count what its broker still has: a task leaves it when its outcome is stored."""
        from django_q.models import OrmQ

        waiting: int = OrmQ.objects.count()
        return waiting
