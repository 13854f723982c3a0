"""How tasks become rows of the queue, whoever pushes them: the site's code, or a schedule."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from leek import serializer
from leek.exceptions import InvalidTask
from leek.models import State
from leek.task import check_arguments, path_of, unwrap

TaskTuple = tuple[Callable[..., Any], Sequence[Any], Mapping[str, Any]]

DEFAULT_QUEUE, DEFAULT_PRIORITY = "default", 0


def new_rows(
    tasks: Sequence[TaskTuple],
    now: datetime,
    mode: str,
    *,
    queue: str | None = None,
    priority: int | None = None,
    run_after: datetime | timedelta | None = None,
) -> list[dict[str, Any]]:
    """Return tasks that are pushed now as `leek.lifecycle.push` takes them.

    `mode` is the setting SERIALIZER. Raise InvalidTask where a callable or its arguments cannot be
    stored.
    """
    due = _due(run_after, now)
    common = {
        "queue": DEFAULT_QUEUE if queue is None else queue,
        "priority": DEFAULT_PRIORITY if priority is None else priority,
        "state": State.DEFERRED.value if due > now else State.READY.value,
        "run_after": due,
        "pushed_at": now,
    }
    return [common | _content(*task, mode) for task in tasks]


def _due(run_after: datetime | timedelta | None, now: datetime) -> datetime:
    try:
        return now + run_after if isinstance(run_after, timedelta) else run_after or now
    except OverflowError:
        raise InvalidTask(f"run_after is {run_after!r}, which is after the year 9999.") from None


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
