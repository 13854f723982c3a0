"""The results of tasks that were enqueued by way of Django's framework, as it defines them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from leek import serializer
from leek.conf import config
from leek.django_task import OPTIONS, LeekTask, changed, made, policy_of_task, values_of
from leek.framework import Task, TaskError, TaskResult, TaskResultStatus
from leek.models import FailedAttempts, FailedTasks, QueuedTasks, State
from leek.outcome import Claimed, Success
from leek.policy import NOTHING, restored
from leek.policy_kinds import Key
from leek.task import Task as StoredTask
from leek.task import locate

UNKNOWN_WORKER = "unknown"  # of an attempt that is not kept any more


@dataclass(frozen=True)
class Course:
    """The attempts of a task: those that failed, and one that has not, if there is one.

    `attempts` is their number. `server_id` and `started_at` are those of the one that runs or has
    succeeded.
    """

    failed: Sequence[FailedAttempts]
    attempts: int
    server_id: int | None = None
    started_at: datetime | None = None

    @property
    def first_started_at(self) -> datetime | None:
        """When the first attempt began."""
        return self.failed[0].started_at if self.failed else self.started_at

    @property
    def last_started_at(self) -> datetime | None:
        """When the latest attempt began."""
        return self.started_at or (self.failed[-1].started_at if self.failed else None)

    @property
    def errors(self) -> list[TaskError]:
        """The errors of the attempts, the first one first."""
        return [*map(_error, self.failed)]

    @property
    def worker_ids(self) -> list[str]:
        """Who has made the attempts."""
        known = {each.attempt: worker_id(each.server_id) for each in self.failed}
        if self.started_at:
            known[self.attempts] = worker_id(self.server_id)
        return [known.get(number, UNKNOWN_WORKER) for number in range(1, self.attempts + 1)]


def worker_id(server_id: int | None) -> str:
    """Return the name of the server of an attempt; None: it was made where it was enqueued."""
    return "eager" if server_id is None else f"leek_server {server_id}"


def result_of(row: QueuedTasks) -> TaskResult | None:
    """Return the result that a row tells of; None if its task was not enqueued, but pushed.

    Raise InvalidPayload or CallableNotFound where the task cannot be read.
    """
    stored = serializer.load_task(row.payload, "json", config.ALIASES)
    if stored.enqueued is None:
        return None
    course = _course(row)
    result = _result(stored, row.pk, TaskResultStatus[row.status.name], course)
    if row.state == State.SUCCESSFUL:
        value = serializer.load_value(row.success.result, "json")
        _set(result, finished_at=row.success.finished_at, _return_value=value)
    elif row.state == State.FAILED:
        failure = row.failure
        _set(result, finished_at=failure.finished_at)
        if not course.failed or course.failed[-1].finished_at != failure.finished_at:
            result.errors.append(_error(failure))  # it was cancelled while it waited
    return result


def result_to_come(
    row: QueuedTasks, task: Task, args: list[Any], kwargs: dict[str, Any], alias: str
) -> TaskResult:
    """Return the result of a task that was just stored."""
    return TaskResult(
        task=task,
        id=str(row.pk),
        status=TaskResultStatus.READY,
        enqueued_at=row.pushed_at,
        started_at=None,
        last_attempted_at=None,
        finished_at=None,
        args=args,
        kwargs=kwargs,
        backend=alias,
        errors=[],
        worker_ids=[],
    )


def result_of_start(claimed: Claimed, stored: StoredTask, started_at: datetime) -> TaskResult:
    """Return the result of a task that begins to run."""
    failed = _failed_attempts(claimed.id) if claimed.attempt > 1 else []
    course = Course(failed, claimed.attempt, claimed.owner, started_at)
    return _result(stored, claimed.id, TaskResultStatus.RUNNING, course)


def result_of_success(outcome: Success) -> TaskResult | None:
    """Return the result of a task that has succeeded, as `result_of` does of its row."""
    claimed = outcome.claimed
    stored = serializer.load_task(claimed.payload, "json", config.ALIASES)
    if stored.enqueued is None:
        return None
    result = result_of_start(claimed, stored, outcome.started_at)
    value = serializer.load_value(outcome.result, "json")
    status = TaskResultStatus.SUCCESSFUL
    _set(result, status=status, finished_at=outcome.finished_at, _return_value=value)
    return result


def _course(row: QueuedTasks) -> Course:
    ended = row.tries + row.crashes
    is_clean = ended == (row.state == State.SUCCESSFUL)
    failed = [] if is_clean else _failed_attempts(row.pk)
    if row.state == State.RUNNING:
        return Course(failed, ended + 1, row.owner_id, row.claimed_at)
    if row.state == State.SUCCESSFUL:
        return Course(failed, ended, row.success.server_id, row.success.started_at)
    return Course(failed, ended)


def _failed_attempts(task_id: int) -> list[FailedAttempts]:
    return list(FailedAttempts.objects.filter(task=task_id).order_by("attempt", "pk"))


def _result(
    stored: StoredTask, task_id: int, status: TaskResultStatus, course: Course
) -> TaskResult:
    kept: Any = stored.enqueued
    return TaskResult(
        task=_task(stored, kept),
        id=str(task_id),
        status=status,
        enqueued_at=datetime.fromisoformat(kept["at"]),
        started_at=course.first_started_at,
        last_attempted_at=course.last_started_at,
        finished_at=None,
        args=list(stored.args),
        kwargs=dict(stored.kwargs),
        backend=kept["backend"],
        errors=course.errors,
        worker_ids=course.worker_ids,
    )


def _set(result: TaskResult, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(result, name, value)  # it is frozen, for others


def _task(stored: StoredTask, kept: dict[str, Any]) -> Task:
    """Return the task as it was when it was enqueued, whatever it would be now."""
    found = locate(stored.path)
    values = {"func": stored.callable, **values_of(kept)}
    if not isinstance(found, Task):
        return made(LeekTask, values | _said(stored))
    if isinstance(found, LeekTask) and (stored.options or policy_of_task(found) is not NOTHING):
        values |= _said(stored)
        if _made(found.key, values["key"], stored.path):
            values["key"] = found.key
    return changed(found, values)


def _said(stored: StoredTask) -> dict[str, Any]:
    policy = restored(stored.options)
    return {name: getattr(policy, name) for name in OPTIONS}


def _made(key: Key | None, kept: Key | None, path: str) -> bool:
    """Tell whether a key was stored that a function had made: see `leek.policy.key_of`."""
    return callable(key) and str(kept).startswith(f"{path}[")


def _error(of: FailedAttempts | FailedTasks) -> TaskError:
    """Return an error in Django's words: builtin classes have a module there."""
    kind = of.exception_type
    text = of.traceback or f"{kind}: {of.exception_message}\n"
    return TaskError(
        exception_class_path=kind if "." in kind else f"builtins.{kind}", traceback=text
    )
