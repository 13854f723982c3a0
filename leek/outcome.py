"""The values that pass from the claim of a task to its settlement."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class Claimed(NamedTuple):
    """A row of QueuedTasks as one claim gave it to one server.

    `owner` and `claim` are the fence: the row is changed only while it has both. A task that runs
    in the pusher's own process has no owner.
    """

    id: int
    name: str
    payload: str
    priority: int
    tries: int
    crashes: int
    parked_since: datetime | None
    owner: int | None
    claim: int

    @property
    def attempt(self) -> int:
        """The number of the run that this claim leads to, from 1: tries and crashes count."""
        return self.tries + self.crashes + 1


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """An exception as text: its dotted type, its message and its traceback."""

    type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Success:
    """The task returned; `result` is the signed text of what it returned, None for None."""

    claimed: Claimed
    started_at: datetime
    finished_at: datetime
    result: str | None


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed, and the task is due again in `delay` seconds.

    A task that could not even be read (`spends_try` False) keeps its tries.
    """

    claimed: Claimed
    started_at: datetime
    finished_at: datetime
    error: ErrorReport
    delay: float
    spends_try: bool = True


@dataclass(frozen=True, slots=True)
class Failure:
    """The attempt failed, and it was the last."""

    claimed: Claimed
    started_at: datetime
    finished_at: datetime
    error: ErrorReport


Outcome = Success | Retry | Failure
