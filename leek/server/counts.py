"""What was counted of the attempts that ended, and is not stored yet."""

import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from leek import lifecycle
from leek.outcome import Outcome
from leek.server.journal import journal
from leek.tally import MINUTE, Tally, beginning_of, is_counted

MOST_KEPT = 10_000  # tallies in memory, from which on new names and minutes are not counted

Key = tuple[datetime, str]  # a minute, and the name of tasks
_NEVER = datetime.min.replace(tzinfo=UTC)


class Counts:
    """Any thread may count the ends of attempts, by minute and name, or take what is counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Key, Tally] = {}
        self._is_dropping = False
        self._begin_minute(_NEVER)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to take."""
        return not self._kept

    def count(self, outcomes: Iterable[Outcome]) -> None:
        """Count outcomes, but for those of attempts that did not begin."""
        with self._lock:
            for outcome in outcomes:
                if is_counted(outcome):
                    self._count(outcome)

    def take(self) -> dict[Key, Tally]:
        """Return what is counted, and forget it."""
        with self._lock:
            taken, self._kept = self._kept, {}
            self._begin_minute(_NEVER)
        return taken

    def give_back(self, taken: Mapping[Key, Tally]) -> None:
        """Add what was taken, and could not be stored."""
        with self._lock:
            for key, tally in taken.items():
                if there := self._tally(key):
                    there.add(tally)

    def stored(self) -> None:
        """Note that there is room again."""
        self._is_dropping = False

    def _count(self, outcome: Outcome) -> None:
        if outcome.finished_at.tzinfo is None:
            outcome = lifecycle.with_zones(outcome)
        if not self._minute <= outcome.finished_at < self._next_minute:
            self._begin_minute(beginning_of(MINUTE, outcome.finished_at))
        name = outcome.claimed.name
        tally = self._of_minute.get(name)
        if tally is None:
            if (tally := self._tally((self._minute, name))) is None:
                return
            self._of_minute[name] = tally
        tally.count(outcome)

    def _begin_minute(self, minute: datetime) -> None:
        """Make the tallies of a minute those that are found first."""
        self._minute, self._next_minute = minute, minute + timedelta(seconds=MINUTE)
        self._of_minute: dict[str, Tally] = {}

    def _tally(self, key: Key) -> Tally | None:
        """Return a tally that is kept, be it a new one; None where there are too many."""
        if (found := self._kept.get(key)) is not None:
            return found
        if len(self._kept) >= MOST_KEPT:
            if not self._is_dropping:
                journal.warning("Too many tallies of attempts wait to be stored: some are dropped")
            self._is_dropping = True
            return None
        return self._kept.setdefault(key, Tally())
