"""How many due tasks wait in each queue, and for how long."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import Count, Min
from django.utils import timezone

from leek.database import DistinctValues, Literal, aware, now_at
from leek.figures import Number, QueueFigures
from leek.models import PausedQueues, QueuedTasks, State, queue_database

MOST_QUEUES = 100  # shown besides the paused ones: those whose tasks have waited the longest
IN_LINE = 100  # ready tasks of each priority that are looked at: a retry may be first in line
MOST_DUE = 5000  # due tasks, not made ready by any server, that a quick look reads


class _Part(NamedTuple):
    """Some tasks that wait in a queue, and since when the oldest of them does."""

    queue: str
    number: int
    oldest: datetime


@dataclass(frozen=True)
class WaitingFigures:
    """What waits in all queues together, and in each of them."""

    oldest: float | None
    ready: int
    queues: list[QueueFigures]


def read(due: int, *, quickly: bool = False) -> WaitingFigures:
    """Return what waits, where so many deferred tasks are due. The ready ones are all counted.

    How long tasks have waited is exact, but not `quickly`: then only the first in line of each
    queue and priority are looked at, and the MOST_DUE oldest due ones, so that the figures of
    a queue may tell of too short a time where a retry is first in line, and of too few due tasks.
    """
    ready = _first_in_line() if quickly else _ready()
    parts = list(ready)
    if due:
        parts += _oldest_due() if quickly else _due()
    numbers: dict[str, int] = {}
    oldest: dict[str, datetime] = {}
    for part in parts:
        numbers[part.queue] = numbers.get(part.queue, 0) + part.number
        oldest[part.queue] = min(oldest.get(part.queue, part.oldest), part.oldest)
    ages = _ages(oldest)
    is_capped = quickly and due > MOST_DUE
    waiting = {queue: Number(number, is_capped=is_capped) for queue, number in numbers.items()}
    return WaitingFigures(
        max(ages.values(), default=None), sum(part.number for part in ready), _shown(waiting, ages)
    )


def oldest_waiting() -> float | None:
    """Return for how many seconds a due task has waited, without reading all that do.

    MariaDB would sort a whole line if that were told by equality.
    """
    ready = QueuedTasks.objects.ready()
    lines = [ready.filter(priority__lte=each) for each in DistinctValues(ready, "priority").read()]
    times = [
        time
        for rows, number in [(QueuedTasks.objects.due(), 1), *((line, IN_LINE) for line in lines)]
        for time in rows.values_list("run_after", flat=True)[:number]
    ]
    return _ages({"": min(times)})[""] if times else None


def _shown(waiting: dict[str, Number], ages: dict[str, float]) -> list[QueueFigures]:
    paused = dict(PausedQueues.objects.order_by("name").values_list("name", "paused_at"))
    longest = sorted(waiting, key=lambda queue: -ages[queue])[:MOST_QUEUES]
    return [
        QueueFigures(
            name=queue,
            waiting=waiting.get(queue, Number(0)),
            oldest_waiting=ages.get(queue),
            paused_since=timezone.localtime(aware(paused[queue])) if queue in paused else None,
        )
        for queue in sorted({*longest, *paused})
    ]


def _ages(times: dict[str, datetime]) -> dict[str, float]:
    """Return how many seconds ago these times were, by the database's clock."""
    if not times:
        return {}
    now = now_at(queue_database())
    return {name: max((now - time).total_seconds(), 0.0) for name, time in times.items()}


def _ready() -> list[_Part]:
    rows = QueuedTasks.objects.ready().order_by().values_list("queue")
    return _parts(rows.annotate(number=Count("*"), oldest=Min("run_after")))


def _first_in_line() -> list[_Part]:
    """Count in an index that has all that is asked for, and look at few rows."""
    lines = list(
        QueuedTasks.objects.filter(state=Literal(State.READY))
        .values_list("queue", "priority")
        .annotate(number=Count("*"), first=Min("pk"))
        .values_list("queue", "number", "first")
    )
    first = QueuedTasks.objects.filter(pk__in=[pk for *_, pk in lines]).order_by()
    due_since = dict(first.values_list("pk", "run_after")) if lines else {}
    now = timezone.now()  # for one that was purged since
    return [_Part(queue, number, due_since.get(pk, now)) for queue, number, pk in lines]


def _due() -> list[_Part]:
    rows = QueuedTasks.objects.due().order_by().values_list("queue")
    return _parts(rows.annotate(number=Count("*"), oldest=Min("run_after")))


def _oldest_due() -> list[_Part]:
    rows = QueuedTasks.objects.due().values_list("queue", "run_after")[:MOST_DUE]
    return [_Part(queue, 1, time) for queue, time in rows]


def _parts(rows: Iterable[tuple[str, int, datetime]]) -> list[_Part]:
    return [_Part(*row) for row in rows]
