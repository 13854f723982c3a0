"""The contract of tasks that were enqueued by way of Django's framework."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.dispatch import Signal

from leek import results, serializer
from leek.culprits import culprit
from leek.exceptions import LeekError
from leek.framework import (
    InvalidTaskBackend,
    TaskContext,
    TaskResult,
    as_json,
    task_backends,
    task_enqueued,
    task_finished,
    task_started,
)
from leek.models import QueuedTasks, State
from leek.outcome import Claimed, Crash, Failure, Success
from leek.policy import NOTHING, Policy
from leek.receivers import tell
from leek.task import Task


class Enqueued:
    """The contract: JSON, a context where it is asked for, and the signals of the framework."""

    def policy_of(self, task: Task) -> Policy:
        """Return what the OPTIONS of its alias say, as far as this process knows that."""
        kept: Any = task.enqueued
        try:
            backend = task_backends[kept["backend"]]
        except InvalidTaskBackend:
            return NOTHING
        policy: Policy = getattr(backend, "policy", NOTHING)
        return policy

    def begin(self, claimed: Claimed, task: Task, started_at: datetime) -> Task:
        """Tell that it begins to run, and return it with its context, if it takes one."""
        result = results.result_of_start(claimed, task, started_at)
        _send(task_started, result)
        if not result.task.takes_context:
            return task
        return replace(task, args=(TaskContext(task_result=result), *task.args))

    async def begin_in_loop(self, claimed: Claimed, task: Task, started_at: datetime) -> Task:
        """Do as `begin`, in the running event loop."""
        return await sync_to_async(self.begin)(claimed, task, started_at)

    def dump(self, value: Any, mode: str) -> str | None:
        """Return what it has returned as JSON; raise TypeError or ValueError if it is not."""
        try:
            plain = as_json(value)
        except (TypeError, ValueError) as error:
            refused = culprit({"the return value": value}, as_json)
            raise type(error)(refused) from None
        return serializer.dump_exactly(plain)


CONTRACT = Enqueued()


@dataclass(frozen=True)
class Finish:
    """The end of a task, to be told of as soon as it is stored."""

    outcome: Success | Failure | Crash

    def send(self) -> None:
        """Tell of it. Where the task has failed, Django's receivers find the error as handled."""
        with suppress(LeekError):  # what cannot be read has no result
            if not isinstance(self.outcome, Success):
                self._send_failure(self.outcome)
            elif result := results.result_of_success(self.outcome):
                _send(task_finished, result)

    def _send_failure(self, outcome: Failure | Crash) -> None:
        row = QueuedTasks.objects.filter(pk=outcome.claimed.id, state=State.FAILED).first()
        if row and (result := results.result_of(row)):
            try:
                raise outcome.error.as_exception()
            except LeekError:
                _send(task_finished, result)


def announce(row: QueuedTasks) -> None:
    """Tell of a task that was just stored."""
    if result := results.result_of(row):
        _send(task_enqueued, result)


def _send(signal: Signal, result: TaskResult) -> None:
    """Send a signal of the framework, if this process knows the alias."""
    with suppress(InvalidTaskBackend):
        tell(signal, type(task_backends[result.backend]), task_result=result)
