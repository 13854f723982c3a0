"""When recurring tasks are due, and for which due times to push. Pure: no clock, no database.

Due times follow from the schedule alone, so that all servers know the same ones without talking.
They are in UTC, as every moment is that is given.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CATCH_UP = ("latest", "all", "none")
MOST_AT_ONCE = 1_000  # due times that "all" catches up with; older ones are dropped
GRACE = timedelta(seconds=60)  # how late a due time is not taken for missed yet
FIRST_SPAN = timedelta(seconds=1)


@dataclass(frozen=True)
class Every:
    """Due at the multiples of an interval, counted from the Unix epoch."""

    interval: timedelta

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the due times after a moment."""
        number = (moment - EPOCH) // self.interval
        while True:
            number += 1
            yield EPOCH + number * self.interval


@dataclass(frozen=True)
class Cron:
    """Due as a cron expression says, by the clocks of a time zone.

    What is due at fixed times is due once where the clocks go back, and later where they skip it.
    """

    expression: str
    zone: ZoneInfo

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the due times after a moment."""
        from cronsim import CronSim  # an extra, which is there where there is such an entry

        for local in CronSim(self.expression, moment.astimezone(self.zone)):
            if (due := local.astimezone(UTC)) > moment:  # it may be in an hour that comes twice
                yield due


@dataclass(frozen=True)
class Schedule:
    """A recurring task: what is pushed, when, and for which of the due times that were missed."""

    name: str
    task: str
    recurrence: Every | Cron
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    queue: str | None = None
    priority: int | None = None
    catch_up: str = "latest"

    def next_due(self, now: datetime) -> datetime | None:
        """Return the first due time after now; None if there is none."""
        return next(self.recurrence.after(now), None)

    def to_push(self, handled: datetime, now: datetime) -> list[datetime]:
        """Return the due times to push for, the latest last, if `handled` was the last one.

        That is one at most with "latest", likewise with "none" if it is younger than GRACE, and up
        to MOST_AT_ONCE with "all".
        """
        if self.catch_up == "all":
            return self._latest_due(handled, now, MOST_AT_ONCE)
        earliest = now - GRACE if self.catch_up == "none" else handled
        return self._latest_due(max(handled, earliest), now, 1)

    def _latest_due(self, after: datetime, until: datetime, most: int) -> list[datetime]:
        """Return the latest due times of a period, looked for in ever longer ends of it."""
        span = FIRST_SPAN
        while True:
            start = max(after, until - span)
            found = deque(takewhile(until.__ge__, self.recurrence.after(start)), maxlen=most)
            if len(found) == most or start == after:
                return list(found)
            span *= 4
