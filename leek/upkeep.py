"""Purges finished tasks and pushes failed ones back, in batches of bounded size.

A batch is one transaction, so that a million rows neither lock the tables nor fill the memory. The
batches walk along the primary key of the outcomes, which every database has an index for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from django.db.models import Q, QuerySet
from django.utils import timezone

from leek import lifecycle
from leek.models import FailedTasks, SuccessTasks

BATCH = 1000

Outcomes = QuerySet[SuccessTasks] | QuerySet[FailedTasks]
Kind = TypeVar("Kind", SuccessTasks, FailedTasks)


def finished(kind: type[Kind], older_than: timedelta | None = None) -> QuerySet[Kind]:
    """Return the outcomes of one kind, of tasks that ended so long ago."""
    rows = kind.objects.all()
    return rows if older_than is None else rows.filter(finished_at__lte=timezone.now() - older_than)


successes = partial(finished, SuccessTasks)
failures = partial(finished, FailedTasks)


@dataclass(frozen=True)
class FailedFilter:
    """Which failed tasks are meant; what is None does not matter, nor do ids if there are none.

    `exception` is the name of an exception's class, with or without its module.
    """

    ids: tuple[int, ...] = ()
    name: str | None = None
    queue: str | None = None
    exception: str | None = None
    since: datetime | None = None

    def rows(self) -> QuerySet[FailedTasks]:
        """Return the outcomes of these tasks."""
        chosen = Q()
        if self.ids:
            chosen &= Q(pk__in=self.ids)
        if self.name is not None:
            chosen &= Q(task__name=self.name)
        if self.queue is not None:
            chosen &= Q(task__queue=self.queue)
        if self.exception is not None:
            chosen &= Q(exception_type=self.exception) | Q(
                exception_type__endswith=f".{self.exception}"
            )
        if self.since is not None:
            chosen &= Q(finished_at__gte=self.since)
        return failures().filter(chosen)


def purge(rows: Outcomes) -> Iterator[int]:
    """Delete these tasks with their outcome; yield how many, batch by batch."""
    for ids in _batches(rows):
        yield lifecycle.purge(ids)


def retry(rows: QuerySet[FailedTasks]) -> Iterator[int]:
    """Push these failed tasks back; yield how many, batch by batch."""
    for ids in _batches(rows):
        yield lifecycle.retry_failed(ids)


def _batches(rows: Outcomes) -> Iterator[list[int]]:
    last = 0
    while ids := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        yield ids
        last = ids[-1]
