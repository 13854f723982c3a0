"""What is asked of the list of tasks."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from leek.database import Now
from leek.models import State
from leek.upkeep import raised

WAITING, FINISHED = "waiting", "finished"
READY, SUCCESSFUL, FAILED = (
    state.name.lower() for state in (State.READY, State.SUCCESSFUL, State.FAILED)
)
OF_STATE = {state.name.lower(): Q(state=state) for state in State}
DUE = Q(state=State.DEFERRED, run_after__lte=Now())
# What is in one index each.
UNFINISHED = {
    word: [of_state] for word, of_state in OF_STATE.items() if word not in (SUCCESSFUL, FAILED)
} | {WAITING: [OF_STATE[READY], DUE]}


@dataclass(frozen=True)
class Wanted:
    """Which tasks are to be shown; what is None does not matter, nor do words if there are none.

    `state` is that of a task in lower case, or "waiting" (ready, or deferred and due), or
    "finished". `exception` is the name of a class, with or without its module. `since` and `until`
    are when the task was pushed. With `all_tasks` even what takes long is looked through.
    """

    state: str | None = None
    queue: str | None = None
    name: str | None = None
    exception: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    words: tuple[str, ...] = ()
    all_tasks: bool = False

    @property
    def is_by_state_only(self) -> bool:
        """Whether nothing but the state and the exception matter."""
        return not (self.queue or self.name or self.since or self.until or self.words)

    @property
    def is_of_failures(self) -> bool:
        """Whether only failed tasks can be meant."""
        return self.state == FAILED or self.exception is not None

    @property
    def is_contradictory(self) -> bool:
        """Whether no task can be meant: only one that failed has an exception."""
        return self.exception is not None and self.state not in (None, FAILED, FINISHED)

    @property
    def of_state(self) -> Q:
        """The condition on the state."""
        if self.state is None:
            return Q()
        if self.state == WAITING:
            return OF_STATE[READY] | DUE
        if self.state == FINISHED:
            return Q(state__in=[State.SUCCESSFUL, State.FAILED])
        return OF_STATE[self.state]

    @property
    def otherwise(self) -> Q:
        """All conditions but those on the state and the words."""
        columns = {
            "queue": self.queue,
            "name": self.name,
            "pushed_at__gte": self.since,
            "pushed_at__lt": self.until,
        }
        chosen = Q(**{name: value for name, value in columns.items() if value is not None})
        if self.exception is not None:
            chosen &= raised(self.exception, "failure__exception_type")
        return chosen
