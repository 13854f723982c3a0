"""The backend of Django's tasks framework: TASKS = {"default": {"BACKEND": LeekBackend's path}}.

Its tasks are rows of the same queue, which `leek_server` runs. Before Django 6.0 it serves the
package that backports the framework.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error

from leek import exceptions
from leek.current import LARGEST
from leek.django_task import OPTIONS, LeekTask
from leek.framework import (
    BaseTaskBackend,
    InvalidTask,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    task_enqueued,
)
from leek.policy import Policy, policy_from
from leek.policy_kinds import checked
from leek.tracing import pushing


class LeekBackend(BaseTaskBackend):
    """Stores tasks in leek's queue.

    The OPTIONS of its alias are policies for its tasks: see `leek.policy.policy`. What the tasks
    say themselves wins over them, and they over TASKS_QUEUE.
    """

    task_class = LeekTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self._has_names = not isinstance(params.get("QUEUES"), str)

    @cached_property
    def policy(self) -> Policy:
        """What OPTIONS say of the tasks of this alias; raise leek's InvalidTask."""
        if not isinstance(self.options, Mapping):
            raise exceptions.InvalidTask(f"OPTIONS is {self.options!r}, not a dictionary.")
        for name in self.options:
            if name not in OPTIONS:
                raise exceptions.InvalidTask(
                    f"{name} is no option of leek. There are: {', '.join(OPTIONS)}."
                )
        return policy_from(self.options)

    def validate_task(self, task: Task) -> None:
        """Raise InvalidTask where a task cannot be run."""
        run_after: object = task.run_after
        if not isinstance(run_after, datetime | None):
            raise InvalidTask(f"run_after is {run_after!r}. Give a datetime or a timedelta.")
        if problem := _problem(partial(checked, "queue", task.queue_name)):
            raise InvalidTask(problem)
        if self.queues and task.queue_name not in self.queues:
            known = ", ".join(sorted(self.queues))
            raise InvalidTask(
                f"Queue '{task.queue_name}' is not valid for backend. Add it to"
                f' TASKS["{self.alias}"]["QUEUES"], where there are: {known}.'
            )
        super().validate_task(task)

    # What knows the tables is imported late: tasks may be defined before Django has set these up.

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """Store a task to be run in the background, and return its result, which is to come.

        The row belongs to the caller's transaction. Raise InvalidTask where the task cannot be
        stored, TypeError or ValueError where an argument is not JSON.
        """
        from leek import enqueuing, results, storing
        from leek.pushing import time_of_push
        from leek.receivers import tell

        self.validate_task(task)
        if problem := _problem(lambda: self.policy):
            raise InvalidTask(f'TASKS["{self.alias}"]: {problem}')
        args, kwargs = enqueuing.json_arguments(task, args, kwargs)
        with pushing() as span:
            try:
                now = time_of_push(task.run_after)
                values = enqueuing.enqueued_row(task, args, kwargs, self.alias, now)
            except exceptions.InvalidTask as error:
                raise InvalidTask(str(error)) from error
            (row,) = storing.store([values])
            span.tell([row])
        result = results.result_to_come(row, task, args, kwargs, self.alias)
        tell(task_enqueued, type(self), task_result=result)
        storing.start([row])
        return self.get_result(result.id) if row.is_finished else result

    def get_result(self, result_id: str) -> TaskResult:
        """Return the result of a task; raise TaskResultDoesNotExist where there is none to be had.

        Its id is that of its row in QueuedTasks.
        """
        from leek import results
        from leek.models import QueuedTasks

        try:
            rows = QueuedTasks.objects.select_related("success", "failure")
            result = results.result_of(rows.get(pk=_row_id(result_id)))
        except (QueuedTasks.DoesNotExist, ValueError):
            raise TaskResultDoesNotExist(f"There is no task {result_id!r}.") from None
        except exceptions.LeekError as error:
            raise TaskResultDoesNotExist(
                f"Task {result_id} is there, but cannot be read: {error}"
            ) from error
        if result is None:
            raise TaskResultDoesNotExist(
                f"Task {result_id} was pushed, not enqueued. Look at its row in QueuedTasks."
            )
        return result

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Return what is wrong with the settings of this alias."""
        place = f'TASKS["{self.alias}"]'
        messages: list[CheckMessage] = []
        if not apps.is_installed("leek"):
            remedy = 'Add "leek" to INSTALLED_APPS.'
            messages.append(Error(f"{place} needs the app leek.", remedy, id="leek.E005"))
        if problem := _problem(lambda: self.policy):
            remedy = f'Correct {place}["OPTIONS"].'
            messages.append(Error(f"{place}: {problem}", remedy, id="leek.E006"))
        if not self._has_names:
            remedy = f'Make {place}["QUEUES"] a list of names.'
            messages.append(Error(f"{place}: QUEUES is a text.", remedy, id="leek.E006"))
            return messages
        for queue in sorted(self.queues, key=repr):
            if problem := _problem(partial(checked, "queue", queue)):
                remedy = f'Correct {place}["QUEUES"].'
                messages.append(Error(f"{place}: {problem}", remedy, id="leek.E006"))
        return messages


def _problem(action: Callable[[], object]) -> str | None:
    try:
        action()
    except exceptions.InvalidTask as error:
        return str(error)
    return None


def _row_id(result_id: object) -> int:
    """Return the id of a row; raise ValueError for what never was one."""
    number = int(str(result_id))
    if str(number) != str(result_id) or not 0 < number <= LARGEST:
        raise ValueError(result_id)
    return number
