"""How much is looked through for what no index finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from leek.admin.recent import Mark
from leek.models import FailedTasks, QueuedTasks

# How many are looked through, and how many payloads are: reading a failure is reading two rows.
TASKS, FAILURES = 100_000, 50_000
PAYLOADS, PAYLOADS_OF_FAILURES = 50_000, 20_000
PROBES, CLOSE = 2_000, 1_000
SLACK = timedelta(minutes=5)  # by which the order of ids and that of pushes may differ


@dataclass(frozen=True)
class Window:
    """So many tasks in a row, or failures: from an id down to another, both inclusive if given.

    It `is_newest` if nothing is above it, and `is_all` if nothing below it could be wanted.
    """

    size: int
    of_failures: bool
    is_newest: bool
    highest: int | None
    lowest: int | None
    is_all: bool

    @property
    def condition(self) -> Q:
        """The condition on a task to be in it."""
        given = {"lte": self.highest, "gte": self.lowest}
        bounds = {side: bound for side, bound in given.items() if bound is not None}
        inside = Q(**{f"pk__{side}": bound for side, bound in bounds.items()})
        if self.of_failures:  # some planners do not see that what holds for one key does for both
            inside &= Q(**{f"failure__pk__{side}": bound for side, bound in bounds.items()})
            inside &= Q(failure__pk__isnull=False)
        return inside


def window_of_tasks(size: int, highest: int | None, since: datetime | None) -> Window:
    """Return the window that begins at the task with an id, or at the newest one."""
    tasks = QueuedTasks.objects.order_by("-pk")
    if highest is not None:
        tasks = tasks.filter(pk__lte=highest)
    last = list(tasks.values_list("pk", "pushed_at")[size - 1 : size + 1])
    lowest, pushed_at = last[0] if len(last) == 2 else (None, None)
    is_all = _is_all(pushed_at, since)
    return Window(size, False, highest is None, highest, lowest, is_all)


def window_of_failures(
    size: int, ends: tuple[int, int], highest: int | None, since: datetime | None
) -> Window:
    """Do as `window_of_tasks`, for failures that are between these ids."""
    oldest, newest = ends
    is_newest = highest is None or highest >= newest
    highest = newest if highest is None else min(highest, newest)
    failures = FailedTasks.objects.order_by("-pk").filter(pk__lte=highest)
    last = list(failures.values_list("pk", "finished_at")[size - 1 : size + 1])
    lowest, finished_at = last[0] if len(last) == 2 else (oldest, None)
    is_all = _is_all(finished_at, since)  # it was pushed before it was finished
    return Window(size, True, is_newest, highest, lowest, is_all)


def _is_all(last: datetime | None, since: datetime | None) -> bool:
    return last is None or (since is not None and last < since - SLACK)


def last_before(moment: datetime, ends: tuple[Mark, Mark]) -> int | None:
    """Return an id that tasks pushed before a time do not exceed; None if it would bound nothing.

    Ids grow with the time of the push, so it is found by looking at a few between the ends.
    """
    moment += SLACK
    low, high = ends
    if high.pushed_at < moment:
        return None
    if low.pushed_at >= moment:
        return low.id - 1
    low, high = _nearer(moment, low, high)
    if high.id - low.id > CLOSE:
        _, high = _nearer(moment, low, high)
    return high.id - 1


def _nearer(moment: datetime, low: Mark, high: Mark) -> tuple[Mark, Mark]:
    step = max((high.id - low.id) // PROBES, 1)
    probed = QueuedTasks.objects.filter(pk__in=range(low.id + step, high.id, step)).order_by("pk")
    marks = [low, *(Mark(*found) for found in probed.values_list("pk", "pushed_at")), high]
    return _around(moment, marks)


def _around(moment: datetime, marks: Sequence[Mark]) -> tuple[Mark, Mark]:
    after = next(number for number, mark in enumerate(marks) if mark.pushed_at >= moment)
    return marks[after - 1], marks[after]
