"""What the newest tasks are like: what the filters of a list offer, and how far it reaches."""

from datetime import datetime
from functools import cached_property
from typing import NamedTuple
from weakref import WeakKeyDictionary

from django.db.models import QuerySet, Subquery
from django.http import HttpRequest

from leek.models import FailedTasks, QueuedTasks, Tallies
from leek.tally import EVER

NEWEST = 1_000  # tasks, and failures, whose values are offered


class Mark(NamedTuple):
    """A task, and when it was pushed."""

    id: int
    pushed_at: datetime


class Recent:
    """Reads what is asked for, once."""

    @cached_property
    def _tasks(self) -> list[tuple[int, str, str, datetime, int, datetime]]:
        """The newest tasks, each together with the mark of the oldest one."""
        newest = QueuedTasks.objects.order_by("-pk").annotate(
            first_id=_of_oldest("pk"), first_pushed_at=_of_oldest("pushed_at")
        )
        columns = ("pk", "name", "queue", "pushed_at", "first_id", "first_pushed_at")
        return list(newest.values_list(*columns)[:NEWEST])

    @cached_property
    def names(self) -> list[str]:
        """The names of tasks."""
        ever = Tallies.objects.filter(period=EVER).exclude(name="").values_list("name", flat=True)
        return sorted({*ever, *(name for _, name, *_ in self._tasks)})

    @cached_property
    def queues(self) -> list[str]:
        """The queues."""
        return sorted({queue for _, _, queue, *_ in self._tasks})

    @cached_property
    def _failures(self) -> list[tuple[int, str, int]]:
        """The newest failures, each together with the id of the oldest one."""
        first_id = Subquery(FailedTasks.objects.order_by("pk").values("pk")[:1])
        newest = FailedTasks.objects.order_by("-pk").annotate(first_id=first_id)
        return list(newest.values_list("pk", "exception_type", "first_id")[:NEWEST])

    @cached_property
    def exceptions(self) -> list[str]:
        """The types of exceptions."""
        return sorted({exception_type for _, exception_type, _ in self._failures})

    @property
    def ends_of_failures(self) -> tuple[int, int] | None:
        """The ids of the oldest and the newest failed task; None if there is none."""
        if not self._failures:
            return None
        newest, _, first_id = self._failures[0]
        return first_id, newest

    @property
    def ends(self) -> tuple[Mark, Mark] | None:
        """The oldest and the newest task; None if there is none."""
        if not self._tasks:
            return None
        newest, _, _, pushed_at, first_id, first_pushed_at = self._tasks[0]
        return Mark(first_id, first_pushed_at), Mark(newest, pushed_at)


_of_requests: WeakKeyDictionary[HttpRequest, Recent] = WeakKeyDictionary()


def recent(request: HttpRequest) -> Recent:
    """Return what is known during a request."""
    return _of_requests.setdefault(request, Recent())


def _of_oldest(column: str) -> Subquery:
    oldest: QuerySet[QueuedTasks] = QueuedTasks.objects.order_by("pk")
    return Subquery(oldest.values(column)[:1])
