"""The two ways by which a task comes to the queue, and what each promises of how it is run.

One is leek's own: it was pushed. The other is that of Django's framework: it was enqueued. The
framework is imported with the first such task, because most sites do without, and before Django 6.0
it is a package of its own. Where it is missing, such tasks are parked.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from types import ModuleType
from typing import Any, Protocol

from leek import serializer
from leek.exceptions import CallableNotFound
from leek.models import QueuedTasks
from leek.outcome import Claimed, Crash, Failure, Outcome, Success
from leek.policy import NOTHING, Policy
from leek.task import Task, locate, unwrap


class Contract(Protocol):
    """What is promised of how a task is run."""

    def policy_of(self, task: Task) -> Policy:
        """Return what holds for it besides what the settings say of every task."""

    def begin(self, claimed: Claimed, task: Task, started_at: datetime) -> Task:
        """Tell that it begins to run, and return it as it is to be called."""

    async def begin_in_loop(self, claimed: Claimed, task: Task, started_at: datetime) -> Task:
        """Do as `begin`, in the running event loop."""

    def dump(self, value: Any, mode: str) -> str | None:
        """Return what it has returned as signed text; what this raises fails the task for good."""


class Tidings(Protocol):
    """What there is to tell of a task, as soon as it is stored."""

    def send(self) -> None:
        """Tell it to those who listen."""


class Pushed:
    """The contract of a task that was pushed."""

    def policy_of(self, task: Task) -> Policy:
        """Return nothing."""
        return NOTHING

    def begin(self, claimed: Claimed, task: Task, started_at: datetime) -> Task:
        """Return it as it is."""
        return task

    async def begin_in_loop(self, claimed: Claimed, task: Task, started_at: datetime) -> Task:
        """Do as `begin`."""
        return task

    def dump(self, value: Any, mode: str) -> str | None:
        """Return what it has returned; what cannot be stored fails no task."""
        return serializer.dump_value(value, mode)


PUSHED = Pushed()
_MARK = '"enqueued": {'  # in the payload of each task that was, and perhaps in that of another one


def own_task_at(path: str) -> Any | None:
    """Return the Task of leek's own backend at a dotted path, None if something else is there.

    Raise CallableNotFound where nothing is.
    """
    found = locate(path)
    if unwrap(found) is found:
        return None
    from leek.django_task import LeekTask  # who has defined a Task has the framework

    return found if isinstance(found, LeekTask) else None


def contract_of(task: Task) -> Contract:
    """Return what was promised of a task; raise CallableNotFound where the framework is missing."""
    if task.enqueued is None:
        return PUSHED
    contract: Contract = _enqueued().CONTRACT
    return contract


def announce_enqueued(rows: Iterable[QueuedTasks]) -> None:
    """Tell Django's framework of those tasks among these that are its own, and were just stored."""
    for row in rows:
        if _MARK in row.payload:
            _enqueued().announce(row)


def finish_of(outcome: Outcome) -> Tidings | None:
    """Return what tells Django's framework of the end of a task; None if it has not ended there.

    It is looked at quickly, so that one may turn out to be none when it is sent. Where the
    framework is missing there is nobody to tell.
    """
    match outcome:
        case Success() | Failure() | Crash(is_last=True):
            if _MARK in outcome.claimed.payload:
                with suppress(CallableNotFound):
                    tidings: Tidings = _enqueued().Finish(outcome)
                    return tidings
    return None


def _enqueued() -> ModuleType:
    try:
        from leek import enqueued  # it imports the framework
    except ImportError as error:
        raise CallableNotFound(str(error)) from error
    return enqueued
