"""What the servers have counted in the last day, as series of slots and by the tasks' names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from leek.database import as_stored, in_utc
from leek.models import Tallies
from leek.tally import COLUMNS, HOUR, MINUTE, Tally, beginning_of, quantile

SECONDS = 24 * 3600  # that are looked back
QUARTER = 900  # seconds of an hour
MOST_NAMES = 8  # in each list
MOST_ROWS = 5_000  # hours of names
MINUTES = 25 * 60 + 1  # rows that there may be of minutes


@dataclass(frozen=True)
class Slot:
    """What was counted in one of the equal slots of a series."""

    begins_at: datetime
    tally: Tally

    @property
    def others(self) -> int:
        """How many attempts did not succeed."""
        return max(self.tally.attempts - self.tally.succeeded, 0)

    def wait(self, share: float) -> float | None:
        """Return below how many seconds that share of the waits was; None if there was none."""
        return _quantile(self.tally.waits, share, self.tally.waited)

    def run(self, share: float) -> float | None:
        """Return below how many seconds that share of the attempts took."""
        return _quantile(self.tally.runs, share, self.tally.ran)


@dataclass(frozen=True)
class NameFigures:
    """What was counted of the tasks of one name."""

    name: str
    tally: Tally

    @property
    def attempts(self) -> int:
        """How many attempts ended."""
        return self.tally.attempts

    @property
    def mean(self) -> float:
        """How many seconds an attempt took on average."""
        return self.tally.ran / max(self.attempts, 1)

    @property
    def slow(self) -> float | None:
        """Below how many seconds 95 of 100 attempts took."""
        return _quantile(self.tally.runs, 0.95, self.tally.ran)

    @property
    def failed(self) -> int:
        """How many tasks failed for good."""
        return self.tally.failed

    @property
    def failed_share(self) -> float:
        """Which share of the tasks that ended has failed, however often they were tried."""
        return self.failed / max(self.failed + self.tally.succeeded, 1)


@dataclass(frozen=True)
class History:
    """The series of the last hour and of the last day, and the names that stood out in the day.

    The series end with the slot that it is now; one in which no server counted has an empty tally.
    """

    hour: list[Slot]
    day: list[Slot]
    slowest: list[NameFigures]
    failing: list[NameFigures]


def read(now: datetime) -> History:
    """Return what was counted in the day before `now`, in one statement.

    Of more than MOST_ROWS hours of names it takes those with failures, and then those that took the
    most time.
    """
    hour, day = _slots(now, MINUTE, HOUR // MINUTE), _slots(now, QUARTER, SECONDS // QUARTER)
    names: dict[str, Tally] = {}
    for period, begins_at, name, *counts in _rows(now):
        tally, time = Tally(*counts), in_utc(begins_at)
        if period == HOUR:
            names.setdefault(name, Tally()).add(tally)
            continue
        for slots, length in ((hour, MINUTE), (day, QUARTER)):
            if (at := beginning_of(length, time)) in slots:
                slots[at].add(tally)
    figures = [NameFigures(name, tally) for name, tally in sorted(names.items())]
    failing = [each for each in figures if each.failed]
    return History(
        hour=_series(hour),
        day=_series(day),
        slowest=sorted(figures, key=lambda each: -each.mean)[:MOST_NAMES],
        failing=sorted(failing, key=lambda each: -each.failed)[:MOST_NAMES],
    )


def _quantile(counts: Sequence[int], share: float, most: float) -> float | None:
    """Return a quantile, which is no more than all seconds together: the bounds are far apart."""
    found = quantile(counts, share)
    return None if found is None else min(found, most)


def _rows(now: datetime) -> Iterable[tuple[Any, ...]]:
    begin = beginning_of(HOUR, now - timedelta(seconds=SECONDS))
    rows = Tallies.objects.filter(
        period__in=[MINUTE, HOUR], begins_at__gte=as_stored(begin), begins_at__lte=as_stored(now)
    ).order_by("period", "-failed", "-ran")[: MINUTES + MOST_ROWS]
    return rows.values_list("period", "begins_at", "name", *COLUMNS)


def _slots(now: datetime, period: int, count: int) -> dict[datetime, Tally]:
    last = beginning_of(period, now)
    times = (last - timedelta(seconds=period * back) for back in reversed(range(count)))
    return {time: Tally() for time in times}


def _series(slots: dict[datetime, Tally]) -> list[Slot]:
    return [Slot(begins_at, tally) for begins_at, tally in slots.items()]
