"""How tasks become rows of the queue, whoever pushes them: the site's code, or a schedule."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from leek import serializer
from leek.context import captured
from leek.database import now_at
from leek.exceptions import InvalidTask
from leek.models import State, queue_database
from leek.policy import NOTHING, Policy, check_atomic, policy_of, stored
from leek.task import check_arguments, locate, path_of, short_repr, unwrap
from leek.tracing import carried, destined

TaskTuple = tuple[Callable[..., Any], Sequence[Any], Mapping[str, Any]]

DEFAULT_QUEUE, DEFAULT_PRIORITY = "default", 0

_PLACE: dict[str, Any] = {"queue": DEFAULT_QUEUE, "priority": DEFAULT_PRIORITY}


def time_of_push(run_after: datetime | timedelta | None) -> datetime:
    """Return what time it is; by the database's clock where the push says when a task is due.

    The servers go by that one. Others need not wait for its answer: they are due at once.
    """
    return timezone.now() if run_after is None else now_at(queue_database())


def new_rows(
    tasks: Sequence[TaskTuple],
    now: datetime,
    mode: str,
    *,
    said: Policy = NOTHING,
    run_after: datetime | timedelta | None = None,
    unique: str | None = None,
    enqueued: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Return tasks that are pushed now as `leek.lifecycle.push` takes them.

    `mode` is the setting SERIALIZER; what is `said` here wins over the policies of the functions;
    `enqueued` is kept for Django's tasks framework (see `leek.django_task`).
    Raise InvalidTask where a callable, its arguments, its policy or what surrounds the push cannot
    be stored, and where a `unique` key would be that of several tasks.
    """
    if unique is not None and len(tasks) > 1:
        raise InvalidTask(
            f"{len(tasks)} tasks cannot be pushed as {short_repr(unique)}: a unique key names one"
            " task. Push them one by one, each with a key of its own."
        )
    due = _due(run_after, now)
    common = {
        "state": State.DEFERRED.value if due > now else State.READY.value,
        "run_after": due,
        "pushed_at": now,
        "unique_key": unique,
    }
    kept = {"context": captured() | carried(), "enqueued": enqueued}
    return [common | _content(*task, said, mode, kept) for task in tasks]


def _due(run_after: datetime | timedelta | None, now: datetime) -> datetime:
    try:
        return now + run_after if isinstance(run_after, timedelta) else run_after or now
    except OverflowError:
        raise InvalidTask(f"run_after is {run_after!r}, which is after the year 9999.") from None


def _content(
    a_callable: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    said: Policy,
    mode: str,
    kept: Mapping[str, Mapping[str, Any] | None],
) -> dict[str, Any]:
    """Return what a task is and where it is to run, if it can be stored and run."""
    function = unwrap(a_callable)
    path = path_of(function)
    if len(path) > 255:
        raise InvalidTask(
            f"{path} is longer than 255 characters. Push a function of a shorter path."
        )
    if (enqueued := kept["enqueued"]) is None:
        _check_context(path, a_callable)
    has_context = bool(enqueued and enqueued.get("takes_context"))
    check_arguments(path, function, (None, *args) if has_context else args, kwargs)
    noted = policy_of(function) or NOTHING
    options, place = None, _PLACE
    if said is not NOTHING or noted is not NOTHING:
        _check_policy(path, noted, said)
        options, place = stored(said, path, args, kwargs), _place(noted, said)
    queue = (enqueued or place).get("queue_name", place["queue"])
    context = destined(kept["context"] or {}, queue)
    payload = serializer.dump_task(
        path, args, kwargs, mode, options=options, context=context, enqueued=enqueued
    )
    return place | {"name": path, "payload": payload}


def _place(noted: Policy, said: Policy) -> dict[str, Any]:
    priorities = [each for each in (said.priority, noted.priority) if each is not None]
    return {
        "queue": said.queue or noted.queue or DEFAULT_QUEUE,
        "priority": next(iter(priorities), DEFAULT_PRIORITY),
    }


def _check_context(path: str, a_callable: Any) -> None:
    """Raise InvalidTask where a function would lack the context that its Task promises it."""
    if _takes_context(a_callable) or _takes_context(locate(path)):
        raise InvalidTask(
            f"{path} is a Task that takes a context, which it has only if it is enqueued."
            f" Call {path.rpartition('.')[2]}.enqueue(...) instead of pushing it."
        )


def _takes_context(candidate: Any) -> bool:
    return unwrap(candidate) is not candidate and bool(candidate.takes_context)


def _check_policy(path: str, noted: Policy, said: Policy) -> None:
    """Raise InvalidTask where what function and push say does not go together."""
    if alias := noted.atomic if said.atomic is None else said.atomic:
        check_atomic(path, alias, queue_database())
