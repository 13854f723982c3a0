"""What is counted of the attempts that end, and what can be read from it. Pure.

An attempt counts in the minute and in the hour in which it ended, and for ever: the minutes tell of
all tasks together, the other two of each name. How long it had been due when it began, and how long
it took, is counted by bounds, so that counts of several servers and slices can be added up.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import NamedTuple

from leek.outcome import Blocked, Crash, Failure, Outcome, Retry, Success, Undone

MINUTE, HOUR, EVER = 60, 3600, 0  # seconds: the periods of slices
ALL_NAMES = ""
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)  # when the slice for ever begins
BOUNDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0,
)  # fmt: skip  # seconds; the last count is of what is above them all


class Slice(NamedTuple):
    """A slice of time, of all tasks or of those of one name."""

    period: int
    begins_at: datetime
    name: str


@dataclass
class Tally:
    """Counts of attempts, as `leek.models.Tallies` has them; seconds are those of all together."""

    succeeded: int = 0
    retried: int = 0
    crashed: int = 0
    failed: int = 0
    waited: float = 0.0
    ran: float = 0.0
    waits: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    runs: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    @property
    def attempts(self) -> int:
        """How many attempts ended."""
        return sum(self.runs)

    def count(self, outcome: Outcome) -> None:
        """Count the end of an attempt."""
        self.succeeded += isinstance(outcome, Success)
        self.retried += isinstance(outcome, Retry)
        self.crashed += isinstance(outcome, Crash)
        self.failed += isinstance(outcome, Failure) or (
            isinstance(outcome, Crash) and outcome.is_last
        )
        claimed = outcome.claimed
        waited = claimed.waited + (outcome.started_at - claimed.claimed_at).total_seconds()
        waited = max(waited, 0.0)  # clocks differ
        ran = max((outcome.finished_at - outcome.started_at).total_seconds(), 0.0)
        self.waited += waited
        self.ran += ran
        self.waits[bisect_left(BOUNDS, waited)] += 1
        self.runs[bisect_left(BOUNDS, ran)] += 1

    def add(self, other: "Tally") -> None:
        """Add what another one has counted."""
        self.succeeded += other.succeeded
        self.retried += other.retried
        self.crashed += other.crashed
        self.failed += other.failed
        self.waited += other.waited
        self.ran += other.ran
        self.waits = _added(self.waits, other.waits)
        self.runs = _added(self.runs, other.runs)


COLUMNS = tuple(each.name for each in fields(Tally))  # in their order


def is_counted(outcome: Outcome) -> bool:
    """Tell whether this is the end of an attempt, and not of one that did not begin."""
    return not isinstance(outcome, Blocked | Undone)


def beginning_of(period: int, time: datetime) -> datetime:
    """Return when the slice of such a period began that this time is in."""
    if period == EVER:
        return BEGINNING
    seconds = int(time.timestamp())
    return datetime.fromtimestamp(seconds - seconds % period, UTC)


def slices_of(counted: Mapping[tuple[datetime, str], Tally]) -> dict[Slice, Tally]:
    """Return the tallies of all slices, made of those of each minute and name."""
    found: dict[Slice, Tally] = {}
    for (minute, name), tally in counted.items():
        for where in (
            Slice(MINUTE, minute, ALL_NAMES),
            Slice(HOUR, beginning_of(HOUR, minute), name),
            Slice(EVER, BEGINNING, name),
        ):
            found.setdefault(where, Tally()).add(tally)
    return found


def tallies_of(outcomes: Iterable[Outcome]) -> dict[Slice, Tally]:
    """Return the tallies of all slices, made of outcomes whose times have zones."""
    counted: dict[tuple[datetime, str], Tally] = {}
    for outcome in outcomes:
        minute = beginning_of(MINUTE, outcome.finished_at)
        counted.setdefault((minute, outcome.claimed.name), Tally()).count(outcome)
    return slices_of(counted)


def total(tallies: Iterable[Tally]) -> Tally:
    """Return the sum of tallies."""
    result = Tally()
    for tally in tallies:
        result.add(tally)
    return result


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Return below how many seconds that share of what was counted is; None if nothing was.

    It is taken to be spread evenly between two bounds, as Prometheus' histogram_quantile does:
    https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
    """
    if not (number := sum(counts)):
        return None
    rank, below, lower = share * number, 0, 0.0
    for bound, count in zip(BOUNDS, counts, strict=False):
        if count and below + count >= rank:
            return lower + (bound - lower) * max(rank - below, 0.0) / count
        below, lower = below + count, bound
    return BOUNDS[-1]


def _added(counts: Sequence[int], others: Sequence[int]) -> list[int]:
    """Add counts up; those of an earlier release may have had fewer bounds, or none."""
    length = max(len(counts), len(others))
    one, other = ([*each, *[0] * (length - len(each))] for each in (counts, others))
    return [left + right for left, right in zip(one, other, strict=True)]
