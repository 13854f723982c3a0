"""What there is to be told of the queue at a glance, as values."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from leek.places import Place


class Number(int):
    """A count; with `is_capped` there are more, and counting ended here."""

    is_capped: bool

    def __new__(cls, number: int = 0, *, is_capped: bool = False) -> Self:
        """Return the number with its flag."""
        self = super().__new__(cls, number)
        self.is_capped = is_capped
        return self

    @property
    def text(self) -> str:
        """The number as a person reads it: 1,234, or 500,000+ for that many or more."""
        return f"{int(self):,}{'+' if self.is_capped else ''}"


@dataclass(frozen=True)
class RunningFigures:
    """A task that has been running for a while, and how far it is, None where it does not tell."""

    id: int
    name: str
    since: datetime
    progress_done: int | None
    progress_total: int | None


@dataclass(frozen=True)
class ServerFigures:
    """One `leek_server` that holds a lease, or a process of a Celery worker, without a port.

    `running` is the number of tasks that it has claimed; `running_tasks` are those that its Workers
    have been running for a second or more, the longest first. One without Workers relays to Celery
    what it has claimed. `place` is where it can be reached from here, None where it cannot, or does
    not listen.
    """

    host: str
    address: str
    port: int
    pid: int
    workers: int
    queues: list[str] | None
    weights: dict[str, int] | None
    started_at: str
    running: int
    running_tasks: list[RunningFigures] = field(default_factory=list)
    place: Place | None = None


@dataclass(frozen=True)
class ScheduleFigures:
    """A recurring task: its next due time, and the last one for which it was pushed, as which task.

    Times are in the site's zone; None where there is no such time.
    """

    name: str
    next_due: datetime | None
    last_due: datetime | None
    task_id: int | None


@dataclass(frozen=True)
class GateFigures:
    """A gate at which tasks wait, and how many; in an outage since when, and why."""

    name: str
    tasks: int
    since: datetime | None
    reason: str


@dataclass(frozen=True)
class QueueFigures:
    """A queue in which due tasks wait, or that is paused; in a paused one tasks wait all the same.

    `oldest_waiting` is the time in seconds that one of them has been due the longest, None if none
    waits.
    """

    name: str
    waiting: Number
    oldest_waiting: float | None
    paused_since: datetime | None


@dataclass(frozen=True)
class Figures:
    """The queue at a glance, as the database has it.

    `oldest_waiting` is the time in seconds that the longest waiting due task has been due, None
    if none waits. `count_up_to` is where counting ended, None if it did not.
    """

    oldest_waiting: float | None
    waiting: Number
    deferred: Number
    running: Number
    successful: Number
    failed: Number
    blocked: Number
    gates: list[GateFigures]
    servers: list[ServerFigures]
    schedules: list[ScheduleFigures]
    queues: list[QueueFigures]
    count_up_to: int | None = None
