"""Purges finished tasks and pushes failed ones back, in batches of bounded size.

A batch is one transaction, so that a million rows neither lock the tables nor fill the memory. The
batches walk along the primary key of the outcomes, which every database has an index for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from leek import lifecycle
from leek.models import FailedTasks, SuccessTasks

BATCH = 1000

Outcomes = QuerySet[SuccessTasks] | QuerySet[FailedTasks]


def successes(older_than: timedelta | None = None) -> QuerySet[SuccessTasks]:
    """Return the outcomes of tasks that succeeded, and did so so long ago."""
    rows = SuccessTasks.objects.all()
    return rows.filter(finished_at__lte=_before(older_than)) if older_than else rows


def failures(older_than: timedelta | None = None) -> QuerySet[FailedTasks]:
    """Return the outcomes of tasks that failed, and did so so long ago."""
    rows = FailedTasks.objects.all()
    return rows.filter(finished_at__lte=_before(older_than)) if older_than else rows


def _before(older_than: timedelta) -> datetime:
    return timezone.now() - older_than


@dataclass(frozen=True)
class FailedFilter:
    """Which failed tasks are meant; what is None or empty does not matter.

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
        if self.name:
            chosen &= Q(task__name=self.name)
        if self.queue:
            chosen &= Q(task__queue=self.queue)
        if self.exception:
            chosen &= Q(exception_type=self.exception) | Q(
                exception_type__endswith=f".{self.exception}"
            )
        if self.since:
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
