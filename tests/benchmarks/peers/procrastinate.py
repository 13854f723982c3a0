"""procrastinate, by its integration into Django."""

from typing import Any

from tests.benchmarks.peers.peer import Peer, manage


class Procrastinate(Peer):
    """procrastinate on PostgreSQL."""

    name = "procrastinate"
    packages = ("procrastinate",)
    databases = ("postgresql",)
    apps = ("procrastinate.contrib.django",)
    tasks = "procrastinate"
    bulk = True
    installed = "`procrastinate worker`, concurrency 1, woken by NOTIFY; plain functions in threads"
    best = "`procrastinate worker --concurrency 10` and a coroutine as task, which needs no thread"

    def worker(self) -> list[str]:
        """Start its worker."""
        tuning = ["--concurrency", "10"] if self.place.tuned else []
        return manage("procrastinate", "worker", *tuning)

    def push(self) -> None:
        """Defer the task."""
        self._task().defer()

    def push_many(self, count: int) -> None:
        """Defer it many times by its call for that."""
        self._task().batch_defer(*[{}] * count)

    def _task(self) -> Any:
        from tests.benchmarks.peers.tasks import procrastinate

        return procrastinate.anoop if self.place.tuned else procrastinate.noop

    def unfinished(self) -> int:
        """Count jobs to do and being done."""
        from procrastinate.contrib.django.models import ProcrastinateJob

        waiting: int = ProcrastinateJob.objects.filter(status__in=("todo", "doing")).count()
        return waiting
