"""How tasks of Django's framework become rows of the queue: their arguments are JSON."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from leek import exceptions
from leek.culprits import culprit
from leek.django_task import LeekTask, kept_of, policy_of_task
from leek.framework import InvalidTask, Task, as_json
from leek.policy_kinds import checked
from leek.pushing import new_rows
from leek.schedule import Schedule


def enqueued_row(
    task: Task, args: Sequence[Any], kwargs: Mapping[str, Any], alias: str, now: datetime
) -> dict[str, Any]:
    """Return a task that is enqueued now as `leek.lifecycle.push` takes it; `alias` is of TASKS.

    Its arguments are those of `json_arguments`. Raise leek's InvalidTask where it cannot be stored.
    """
    queue, priority = checked("queue", task.queue_name), int(task.priority)
    (row,) = new_rows(
        [(task.func, args, kwargs)],
        now,
        "json",
        said=policy_of_task(task),
        run_after=task.run_after,
        enqueued=kept_of(task, alias, now, queue, priority),
    )
    return row | {"queue": queue, "priority": priority}


def recurring_row(task: LeekTask, schedule: Schedule, now: datetime) -> dict[str, Any]:
    """Return a recurring task that is due as `leek.lifecycle.push_due` takes it.

    Raise leek's InvalidTask where it cannot be stored.
    """
    try:
        task = task.using(queue_name=schedule.queue, priority=schedule.priority)
        arguments = json_arguments(task, schedule.args, schedule.kwargs)
    except (InvalidTask, TypeError, ValueError) as error:
        raise exceptions.InvalidTask(str(error)) from error
    return enqueued_row(task, *arguments, task.backend, now)


def json_arguments(
    task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments as the task will get them.

    Raise TypeError or ValueError, naming the argument, where one is not JSON.
    """
    try:
        args, kwargs = as_json((args, kwargs))
    except (TypeError, ValueError) as error:
        refused = culprit({"args": list(args), "kwargs": dict(kwargs)}, as_json)
        raise type(error)(f"{task.module_path}: {refused}") from error
    return list(args), dict(kwargs)
