"""The values that pass from the claim of a task to its settlement."""

from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from leek.exceptions import TaskCancelled, TaskFailed, WorkerLost


class Claimed(NamedTuple):
    """A row of QueuedTasks as one claim gave it to one server.

    `owner` and `claim` are the fence: the row is changed only while it has both. A task that runs
    in the pusher's own process has no owner. A suspect may have killed a process: a server died
    that had claimed it, and nobody knows what that one was running. It had been due for `waited`
    seconds when it was claimed, at `claimed_at`.
    """

    id: int
    name: str
    payload: str
    priority: int
    tries: int
    crashes: int
    parked_since: datetime | None
    suspect: bool
    waited: float
    claimed_at: datetime
    owner: int | None
    claim: int

    @property
    def attempt(self) -> int:
        """The number of the run that this claim leads to, from 1: tries and crashes count."""
        return self.tries + self.crashes + 1

    @property
    def must_run_alone(self) -> bool:
        """Whether a process may have died of this task, so that it is run in one apart."""
        return self.suspect or self.crashes > 0


class Progress(NamedTuple):
    """How far a task is, as told by the attempt that this claim has led to."""

    task_id: int
    owner: int | None
    claim: int
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """An exception as text: its dotted type, its message and its traceback."""

    type: str
    message: str
    traceback: str = ""
    is_of_connection: bool = False  # it may be due to a service that is down

    def as_exception(self) -> TaskFailed:
        """Return it as an exception that shows the traceback of the original one."""
        error = TaskFailed(self.type, self.message, self.traceback)
        if self.traceback:
            error.add_note(self.traceback)
        return error


Line = tuple[str, str, str, str]  # of a log: the time, the level, the logger's name, the message


class Logged(NamedTuple):
    """What the task logged, as `leek.models.AttemptLogs` has it; `omitted` lines came before."""

    lines: tuple[Line, ...]
    omitted: int

    @property
    def characters(self) -> int:
        """The length of all the text."""
        return sum(map(len, chain.from_iterable(self.lines)))


@dataclass(frozen=True, slots=True)
class Success:
    """The task returned; `result` is the signed text of what it returned, None for None.

    That of an atomic task is stored already, together with what the task itself has written.
    """

    claimed: Claimed
    started_at: datetime
    finished_at: datetime
    result: str | None
    is_stored: bool = False
    logged: Logged | None = None


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
    logged: Logged | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The attempt failed, and it was the last."""

    claimed: Claimed
    started_at: datetime
    finished_at: datetime
    error: ErrorReport
    logged: Logged | None = None


CANCELLED = f"{TaskCancelled.__module__}.{TaskCancelled.__qualname__}"


def cancelled(
    claimed: Claimed,
    started_at: datetime,
    finished_at: datetime,
    *,
    has_begun: bool,
    logged: Logged | None = None,
) -> Failure:
    """Return the outcome of a task that was cancelled: it is not tried again."""
    when = "while it ran" if has_begun else "before it began"
    error = ErrorReport(CANCELLED, f"cancelled {when}")
    return Failure(claimed, started_at, finished_at, error, logged)


@dataclass(frozen=True, slots=True)
class Crash:
    """The attempt ended with its process, and so `how`, in words; it spends no try.

    At the `max_crashes`th crash the task fails. `was_alone` tells that nothing else ran there, and
    so the task was the cause.
    """

    claimed: Claimed
    started_at: datetime
    finished_at: datetime
    how: str
    max_crashes: int
    was_alone: bool = False
    logged: Logged | None = None

    @property
    def crashes(self) -> int:
        """The number of crashes with this one.

        A suspect that is proved to kill is taken for the cause of the former death as well.
        """
        is_proof = self.was_alone and self.claimed.suspect and not self.claimed.crashes
        return self.claimed.crashes + (2 if is_proof else 1)

    @property
    def is_last(self) -> bool:
        """Whether the task fails with this crash."""
        return self.crashes >= self.max_crashes

    @property
    def error(self) -> ErrorReport:
        """The error that the task fails with if this crash is its last."""
        return ErrorReport(
            type=f"{WorkerLost.__module__}.{WorkerLost.__qualname__}",
            message=(
                f"the process running it {self.how} (crash {self.crashes} of {self.max_crashes})"
            ),
        )


@dataclass(frozen=True, slots=True)
class Blocked:
    """The task may not run yet: it waits at a gate (see `leek.conditions`), at no cost."""

    claimed: Claimed
    started_at: datetime
    finished_at: datetime
    gate: str


@dataclass(frozen=True, slots=True)
class Undone:
    """The database failed before the task began, or what an atomic one wrote: it runs again.

    That costs it nothing.
    """

    claimed: Claimed
    started_at: datetime
    finished_at: datetime


Ended = Success | Retry | Failure | Crash  # of an attempt that counts, and may have logged
Outcome = Ended | Blocked | Undone
