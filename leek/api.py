"""What views import: push a task, and it runs in the background.

push_task_to_queue(send_mail, subject="Hi", message="...", from_email=None, recipient_list=[to])
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone

from leek import eager, lifecycle, serializer
from leek.conf import config
from leek.connections import on_commit_once
from leek.exceptions import InvalidTask
from leek.hinting import hint
from leek.models import QueuedTasks, State, queue_database
from leek.task import check_arguments, path_of, short_repr, unwrap

__all__ = ["apush_task_to_queue", "push_many", "push_task_to_queue", "using"]

TaskTuple = tuple[Callable[..., Any], Sequence[Any], Mapping[str, Any]]

DEFAULT_QUEUE = "default"
LOWEST_PRIORITY, DEFAULT_PRIORITY, HIGHEST_PRIORITY = -100, 0, 100


@dataclass(frozen=True)
class Options:
    """Where and when a task is to run, as far as the push says so. Made by `using`."""

    queue: str | None = None
    priority: int | None = None
    run_after: datetime | timedelta | None = None

    def push(self, a_callable: Callable[..., Any], /, *args: Any, **kwargs: Any) -> QueuedTasks:
        """Push a task with these options; see `push_task_to_queue`."""
        (row,) = self._push([(a_callable, args, kwargs)])
        return row

    def push_many(self, tasks: Iterable[TaskTuple]) -> list[QueuedTasks]:
        """Push many tasks with these options; see `push_many`."""
        return self._push([_parts(task) for task in tasks])

    async def apush(
        self, a_callable: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> QueuedTasks:
        """Push a task with these options from async code; see `push_task_to_queue`."""
        return await sync_to_async(partial(self.push, a_callable, *args, **kwargs))()

    def _push(self, tasks: list[TaskTuple]) -> list[QueuedTasks]:
        """Store tasks, and tell the server when they are committed."""
        now, mode = timezone.now(), config.SERIALIZER
        due = _due(self.run_after, now)
        common = {
            "queue": DEFAULT_QUEUE if self.queue is None else self.queue,
            "priority": DEFAULT_PRIORITY if self.priority is None else self.priority,
            "state": State.DEFERRED.value if due > now else State.READY.value,
            "run_after": due,
            "pushed_at": now,
        }
        rows = lifecycle.push([common | _content(*task, mode) for task in tasks])
        if config.EAGER:
            for row in rows:
                eager.run(row)
        elif rows:
            on_commit_once(queue_database(), hint)
        return rows


_NO_OPTIONS = Options()


def push_task_to_queue(a_callable: Callable[..., Any], /, *args: Any, **kwargs: Any) -> QueuedTasks:
    """Store a task to be run in the background, and return its row.

    The row belongs to the caller's transaction: the task exists if and only if that commits. Any
    callable that can be imported will do, with any arguments that JSON or pickle can hold.

    Raise InvalidTask, naming the reason, where the callable or its arguments cannot be stored, and
    the database's own errors. A server that is down or unreachable is no error.
    """
    return _NO_OPTIONS.push(a_callable, *args, **kwargs)


async def apush_task_to_queue(
    a_callable: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> QueuedTasks:
    """Do as `push_task_to_queue`, from async code."""
    return await _NO_OPTIONS.apush(a_callable, *args, **kwargs)


def push_many(tasks: Iterable[TaskTuple]) -> list[QueuedTasks]:
    """Push many tasks, each a tuple (callable, args, kwargs), at once: all of them or none.

    Return their rows in order. Raise as `push_task_to_queue` does.
    """
    return _NO_OPTIONS.push_many(tasks)


def using(
    *,
    queue: str | None = None,
    priority: int | None = None,
    run_after: datetime | timedelta | None = None,
) -> Options:
    """Return options to push with: `using(priority=10).push(send_mail, ...)`.

    `queue` is a name of up to 100 characters, "default" if left out. `priority` goes from -100 to
    100, the highest first, and is 0 if left out. `run_after` is when the task may start, or how
    long from now. Raise InvalidTask where a value is not one of these.
    """
    if queue is not None:
        _check_queue(queue)
        queue = str(queue)  # what is equal to one, such as a member of TextChoices
    if priority is not None:
        _check_priority(priority)
        priority = int(priority)
    _check_run_after(run_after)
    return Options(queue, priority, run_after)


def _check_queue(queue: object) -> None:
    if not isinstance(queue, str) or not 0 < len(queue) <= 100:
        raise InvalidTask(f"queue is {queue!r}. Give a name of 1 to 100 characters.")


def _check_priority(priority: object) -> None:
    if (
        isinstance(priority, bool)
        or not isinstance(priority, int)
        or not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY
    ):
        raise InvalidTask(f"priority is {priority!r}. Give a whole number from -100 to 100.")


def _check_run_after(run_after: object) -> None:
    if not isinstance(run_after, datetime | timedelta | None):
        raise InvalidTask(f"run_after is {run_after!r}. Give a datetime or a timedelta.")
    if isinstance(run_after, datetime) and timezone.is_naive(run_after) == settings.USE_TZ:
        remedy = "with a time zone" if settings.USE_TZ else "without a time zone"
        raise InvalidTask(f"run_after is {run_after!r}. Give a datetime {remedy} (see USE_TZ).")


def _parts(task: Any) -> tuple[Any, Sequence[Any], Mapping[str, Any]]:
    match task:
        case [a_callable, list() | tuple() as args, dict() as kwargs]:
            return a_callable, args, kwargs
    raise InvalidTask(
        f"{short_repr(task)} is not a tuple (callable, args, kwargs) such as (send, [42], {{}})."
    )


def _content(
    a_callable: Any, args: Sequence[Any], kwargs: Mapping[str, Any], mode: str
) -> dict[str, str]:
    """Return name and payload of a task that can be stored and run."""
    function = unwrap(a_callable)
    path = path_of(function)
    if len(path) > 255:
        raise InvalidTask(
            f"{path} is longer than 255 characters. Push a function of a shorter path."
        )
    check_arguments(path, function, args, kwargs)
    return {"name": path, "payload": serializer.dump_task(path, args, kwargs, mode)}


def _due(run_after: datetime | timedelta | None, now: datetime) -> datetime:
    try:
        return now + run_after if isinstance(run_after, timedelta) else run_after or now
    except OverflowError:
        raise InvalidTask(f"run_after is {run_after!r}, which is after the year 9999.") from None
