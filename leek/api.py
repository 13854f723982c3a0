"""What views import: push a task, and it runs in the background.

push_task_to_queue(send_mail, subject="Hi", message="...", from_email=None, recipient_list=[to])
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Unpack

from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone

from leek.conf import config
from leek.current import current_task, progress
from leek.exceptions import GiveUp, InvalidTask, Retry
from leek.models import QueuedTasks
from leek.pausing import pause_queue, resume_queue
from leek.policy import NOTHING, Policy, PolicyOptions, policy, policy_from
from leek.pushing import TaskTuple, new_rows, time_of_push
from leek.storing import start, store
from leek.task import short_repr
from leek.tracing import pushing

__all__ = [
    "GiveUp",
    "Retry",
    "apush_task_to_queue",
    "current_task",
    "pause_queue",
    "policy",
    "progress",
    "push_many",
    "push_task_to_queue",
    "resume_queue",
    "using",
]

# PostgreSQL stores no NUL, UTF-8 no half of a pair; MySQL compares as if spaces followed.
_UNIQUE_KEY = re.compile(r"(?!\s)[^\0\ud800-\udfff]{1,255}(?<!\s)")


@dataclass(frozen=True)
class Options:
    """How, where and when a task is to run, as far as the push says so. Made by `using`."""

    said: Policy = NOTHING
    run_after: datetime | timedelta | None = None
    unique: str | None = None

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
        with pushing() as span:
            values = new_rows(
                tasks,
                time_of_push(self.run_after),
                config.SERIALIZER,
                said=self.said,
                run_after=self.run_after,
                unique=self.unique,
            )
            rows = store(values)
            span.tell(rows)
        start([row for row in rows if not row.duplicate])
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
    run_after: datetime | timedelta | None = None,
    unique: str | None = None,
    **options: Unpack[PolicyOptions],
) -> Options:
    """Return options to push with: `using(priority=10).push(send_mail, ...)`.

    `queue` is a name of up to 100 characters, "default" if left out. `priority` goes from -100 to
    100, the highest first, and is 0 if left out. `run_after` is when the task may start, or how
    long from now. `unique` is a key that only one unfinished task has: if there is one, nothing is
    stored, and the push returns its row, with `duplicate` True. The others are those of
    `leek.policy.policy`, whose decorator they win over.
    Raise InvalidTask where a value is not one of these.
    """
    _check_run_after(run_after)
    return Options(policy_from(options), run_after, _checked_key(unique))


def _check_run_after(run_after: object) -> None:
    if not isinstance(run_after, datetime | timedelta | None):
        raise InvalidTask(f"run_after is {run_after!r}. Give a datetime or a timedelta.")
    if isinstance(run_after, datetime) and timezone.is_naive(run_after) == settings.USE_TZ:
        remedy = "with a time zone" if settings.USE_TZ else "without a time zone"
        raise InvalidTask(f"run_after is {run_after!r}. Give a datetime {remedy} (see USE_TZ).")


def _checked_key(key: object) -> str | None:
    if key is None:
        return None
    if isinstance(key, str) and _UNIQUE_KEY.fullmatch(key):
        return str.__str__(key)  # of an enumeration, its value
    raise InvalidTask(
        f"unique is {short_repr(key)}. Give a text of 1 to 255 characters, without white space"
        " around it, and without what a database cannot store."
    )


def _parts(task: Any) -> tuple[Any, Sequence[Any], Mapping[str, Any]]:
    match task:
        case [a_callable, list() | tuple() as args, dict() as kwargs]:
            return a_callable, args, kwargs
    raise InvalidTask(
        f"{short_repr(task)} is not a tuple (callable, args, kwargs) such as (send, [42], {{}})."
    )
