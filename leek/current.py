"""The task that is being run, for its own code."""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class CurrentTask:
    """The task that is being run.

    `attempt` is the number of this run, from 1; crashes count. `max_retries` is how often the task
    is tried in all, and `is_last_try` tells that an error fails it for good. `timeout` is how many
    seconds it may run, None for no limit.
    """

    id: int
    name: str
    attempt: int
    max_retries: int
    is_last_try: bool
    started_at: datetime
    timeout: float | None


_current: ContextVar[CurrentTask | None] = ContextVar("leek_current_task", default=None)


def current_task() -> CurrentTask | None:
    """Return the task whose code calls this, None outside of tasks.

    It is known in what the task awaits or gives to `sync_to_async`, and in threads that are given
    its context, as `asyncio.to_thread` does.
    """
    return _current.get()


def enter(task: CurrentTask) -> None:
    """Let the context that is current be one of a task."""
    _current.set(task)
