"""The tasks of Django's framework, with the policies that leek adds to them.

What the framework has to know of a task again is kept in the head of its payload: when it was
enqueued, and what it was then, but for what is the default::

    {"at": "2026-12-24T12:00:00+00:00", "backend": "default", "queue_name": "mail", "priority": 7,
     "run_after": "2026-12-25T12:00:00+00:00", "takes_context": true}
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.utils import timezone

from leek import exceptions
from leek.framework import (
    DEFAULT_TASK_PRIORITY,
    DEFAULT_TASK_QUEUE_NAME,
    InvalidTask,
    Task,
)
from leek.policy import NOTHING, Policy, Requirement, Seconds, policy_of
from leek.policy_kinds import Key, checked

AnyTask = TypeVar("AnyTask", bound=Task)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeekTask(Task):
    """A task of Django's framework, with leek's policies: see `leek.policy.policy`.

    `@task(max_retries=5)` sets them but on Django 6.0, `.using(max_retries=5)` everywhere. They win
    over a `@policy` of the function, whose queue and priority count where the task has none.
    Raise InvalidTask where one cannot be used.
    """

    max_retries: int | None = None
    retry_delay: Seconds | Sequence[Seconds] | Callable[[int], float] | None = None
    retry_on: type[BaseException] | Iterable[type[BaseException]] | None = None
    give_up_on: type[BaseException] | Iterable[type[BaseException]] | None = None
    timeout: Seconds | None = None
    atomic: bool | str | None = None
    requires: Requirement | Iterable[Requirement] | None = None
    limit: int | None = None
    rate: str | None = None
    key: Key | None = None

    def __post_init__(self) -> None:
        """Take over what the function's policy says, and check the task; raise InvalidTask."""
        noted = policy_of(self.func) or NOTHING
        if noted.queue is not None and self.queue_name == DEFAULT_TASK_QUEUE_NAME:
            object.__setattr__(self, "queue_name", noted.queue)
        if noted.priority is not None and self.priority == DEFAULT_TASK_PRIORITY:
            object.__setattr__(self, "priority", noted.priority)
        self._check()

    def _check(self) -> None:
        """Keep what the options mean; raise InvalidTask."""
        try:
            changes = {name: checked(name, getattr(self, name)) for name in OPTIONS}
        except exceptions.InvalidTask as error:
            raise InvalidTask(str(error)) from error
        for name, value in changes.items():
            object.__setattr__(self, name, value)
        Task.__post_init__(self)  # super() does not know the class that has slots

    def using(
        self,
        *,
        priority: int | None = None,
        queue_name: str | None = None,
        run_after: datetime | timedelta | None = None,
        backend: str | None = None,
        **options: Any,
    ) -> "LeekTask":
        """Return a task with other defaults; `options` are leek's policies.

        `run_after` is when the task may start, or how long from now.
        """
        own = [spec.name for spec in fields(self) if spec.name not in _OF_DJANGO]
        if unknown := options.keys() - own:
            known = ", ".join(["priority", "queue_name", "run_after", "backend", *own])
            raise TypeError(f"{min(unknown)!r} is no option. There are: {known}.")
        if isinstance(run_after, timedelta):
            run_after = _from_now(run_after)
        given = options | {
            "priority": priority,
            "queue_name": queue_name,
            "run_after": run_after,
            "backend": backend,
        }
        changes = {name: value for name, value in given.items() if value is not None}
        task = made(type(self), _values(self) | changes)  # a default given here is no gap to fill
        task._check()
        return task


def _from_now(delay: timedelta) -> datetime:
    try:
        return timezone.now() + delay
    except OverflowError:
        raise InvalidTask(f"run_after is {delay!r}, which is after the year 9999.") from None


_OF_DJANGO = {spec.name for spec in fields(Task)}
OPTIONS = tuple(spec.name for spec in fields(LeekTask) if spec.name not in _OF_DJANGO)


def policy_of_task(task: Task) -> Policy:
    """Return what a task itself says of how it is to be run: one of another class says nothing."""
    if not isinstance(task, LeekTask):
        return NOTHING
    said = {name: value for name in OPTIONS if (value := getattr(task, name)) is not None}
    return Policy(**said) if said else NOTHING


def changed(task: Task, changes: Mapping[str, Any]) -> Task:
    """Return a task with other values; it is not validated, see `made`."""
    if all(getattr(task, name) == value for name, value in changes.items()):
        return task
    return made(type(task), {**_values(task), **changes})


def _values(task: Task) -> dict[str, Any]:
    return {spec.name: getattr(task, spec.name) for spec in fields(task)}


def made(kind: type[AnyTask], values: Mapping[str, Any]) -> AnyTask:
    """Return a task of a class as it was enqueued.

    It is not validated: settings may have changed since, and so may what they allow.
    """
    task = object.__new__(kind)
    for name, value in values.items():
        object.__setattr__(task, name, value)
    return task


def kept_of(task: Task, alias: str, at: datetime, queue: str, priority: int) -> dict[str, Any]:
    """Return what is kept of a task that is enqueued so."""
    kept: dict[str, Any] = {"at": at.isoformat(), "backend": alias}
    if queue != DEFAULT_TASK_QUEUE_NAME:
        kept["queue_name"] = queue
    if priority != DEFAULT_TASK_PRIORITY:
        kept["priority"] = priority
    if task.run_after is not None:
        kept["run_after"] = task.run_after.isoformat()
    if task.takes_context:
        kept["takes_context"] = True
    return kept


def values_of(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a task of which this was kept."""
    run_after = kept.get("run_after")
    return {
        "backend": kept["backend"],
        "queue_name": kept.get("queue_name", DEFAULT_TASK_QUEUE_NAME),
        "priority": kept.get("priority", DEFAULT_TASK_PRIORITY),
        "run_after": run_after and datetime.fromisoformat(run_after),
        "takes_context": kept.get("takes_context", False),
    }
