"""Purges finished tasks and pushes failed ones back, in batches that are done soon.

A batch is one transaction, so that a million rows neither lock the tables nor fill the memory, and
between two of them others can write. The batches walk along the primary key of the outcomes, which
every database has an index for.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from django.db.models import Q, QuerySet

from leek import lifecycle
from leek.database import now_at, rest_between_writes
from leek.lifecycle import PushedBack
from leek.models import FailedTasks, QueuedTasks, SuccessTasks, queue_database

FIRST_BATCH, LARGEST_BATCH = 100, 1000  # rows
SOON = 0.01  # seconds that a batch may take
FIRST = 1000  # outcomes
GATES_KEPT = 86_400.0  # seconds

_NO_LOCK = nullcontext()

Outcomes = QuerySet[SuccessTasks] | QuerySet[FailedTasks]
Rows = Outcomes | QuerySet[QueuedTasks]
Kind = TypeVar("Kind", SuccessTasks, FailedTasks)
Done = TypeVar("Done")


def finished(kind: type[Kind], older_than: timedelta | None = None) -> QuerySet[Kind]:
    """Return the outcomes of one kind, of tasks that ended so long ago by the database's clock."""
    rows = kind.objects.all()
    if older_than is None:
        return rows
    return rows.filter(finished_at__lte=now_at(queue_database()) - older_than)


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
            chosen &= raised(self.exception, "exception_type")
        if self.since is not None:
            chosen &= Q(finished_at__gte=self.since)
        return failures().filter(chosen)

    def not_failed(self) -> list[int]:
        """Return those of the ids that are of no failed task, each once, in their order."""
        failed = set(failures().filter(pk__in=self.ids).values_list("pk", flat=True))
        return [task_id for task_id in dict.fromkeys(self.ids) if task_id not in failed]


def raised(exception: str, column: str) -> Q:
    """Return the condition that a column names this exception, given with or without its module."""
    return Q(**{column: exception}) | Q(**{f"{column}__endswith": f".{exception}"})


class BatchSize:
    """How many rows a batch may have, by how long those before took, and may take: `soon`."""

    def __init__(self, soon: float = SOON) -> None:
        self.rows = FIRST_BATCH
        self._soon = soon

    def took(self, seconds: float) -> None:
        """Adapt to what the latest batch took: half of it if too long, twice if it was short."""
        if seconds > self._soon:
            self.rows = max(self.rows // 2, 1)
        elif seconds < self._soon / 2:
            self.rows = min(self.rows * 2, LARGEST_BATCH)


def first(rows: QuerySet[Kind]) -> QuerySet[Kind]:
    """Keep those of these outcomes that are among the first of all, by the order of the pushes.

    There what ended long ago is found at once, however many tasks have ended since.
    """
    beyond = rows.model._default_manager.order_by("pk").values_list("pk", flat=True)[FIRST:]
    last = beyond.first()
    return rows if last is None else rows.filter(pk__lt=last)


def purge(rows: Outcomes, write_lock: AbstractContextManager[object] = _NO_LOCK) -> Iterator[int]:
    """Delete these tasks with their outcome; yield how many, batch by batch."""
    return in_batches(rows, lifecycle.purge, write_lock)


def forget_gates() -> int:
    """Delete gates that were not used for a day and hold up nobody; return how many."""
    rest, total = rest_between_writes(queue_database()), 0
    while forgotten := lifecycle.forget_gates(GATES_KEPT):
        total += forgotten
        time.sleep(rest)
    return total


def retry(rows: QuerySet[FailedTasks]) -> Iterator[PushedBack]:
    """Push these failed tasks back; yield how many, and which were left, batch by batch."""
    return in_batches(rows, lifecycle.retry_failed)


def in_batches(
    rows: Rows,
    act: Callable[[list[int]], Done],
    write_lock: AbstractContextManager[object] = _NO_LOCK,
    *,
    one_by_one: bool = False,
    ahead: int = 1,
    soon: float | None = None,
) -> Iterator[Done]:
    """Do something with rows, given by their keys; yield what it returns, batch by batch.

    It is one batch for each row only where these are few: then nobody has to be let in between.
    Where rows take long to be found, so many keys are read `ahead`. A batch is to take `soon`
    seconds, SOON if that is left out.
    """
    size = BatchSize(SOON if soon is None else soon)
    rest = 0.0 if one_by_one else rest_between_writes(queue_database())
    ids = rows.order_by("pk").values_list("pk", flat=True)
    found: list[int] = []
    last = 0
    while found := found or list(ids.filter(pk__gt=last)[: max(size.rows, ahead)]):
        length = 1 if one_by_one else size.rows
        batch, found = found[:length], found[length:]
        with write_lock:
            began = time.monotonic()
            done = act(batch)
        size.took(time.monotonic() - began)
        yield done
        last = batch[-1]
        time.sleep(rest)
