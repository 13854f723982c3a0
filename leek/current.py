"""The task that is being run, for its own code."""

import operator
from collections.abc import Callable
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


LARGEST = 2**63 - 1  # that databases store

Report = Callable[[int, int | None], None]

_current: ContextVar[CurrentTask | None] = ContextVar("leek_current_task", default=None)
_report: ContextVar[Report | None] = ContextVar("leek_report", default=None)


def current_task() -> CurrentTask | None:
    """Return the task whose code calls this, None outside of tasks.

    It is known in what the task awaits or gives to `sync_to_async`, and in threads that are given
    its context, as `asyncio.to_thread` does.
    """
    return _current.get()


def progress(done: int, total: int | None = None) -> None:
    """Tell how far the task is whose code calls this: `row.progress` shows it as (done, total).

    The latest values are stored twice a second, apart from the task's own transaction. Outside of
    tasks, as where a test calls the function, nothing becomes of them.

    Raise TypeError or ValueError where they are not whole numbers from 0.
    """
    values = _counted("done", done), None if total is None else _counted("total", total)
    if report := _report.get():
        report(*values)


def enter(task: CurrentTask, report: Report | None = None) -> None:
    """Let the context that is current be one of a task, whose progress is reported so."""
    _current.set(task)
    _report.set(report)


def _counted(name: str, value: object) -> int:
    if isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}. Give a whole number.")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} is {value!r}. Give a whole number.") from None
    if not 0 <= number <= LARGEST:
        raise ValueError(f"{name} is {value!r}. Give a whole number from 0, below 2 ** 63.")
    return number
