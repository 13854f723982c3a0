"""Django's tasks framework as a site imports it, and how its code calls that."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import django
import pytest
from asgiref.sync import async_to_sync

from leek.framework import InvalidTask, InvalidTaskBackend
from tests.settings import FRAMEWORK
from tests.site import django_tasks as tasks
from tests.support import wait_until

if TYPE_CHECKING or django.VERSION >= (6, 0):
    from django.tasks import (
        Task,
        TaskContext,
        TaskResult,
        TaskResultStatus,
        default_task_backend,
        task,
        task_backends,
    )
    from django.tasks.base import TaskError
    from django.tasks.exceptions import TaskResultDoesNotExist, TaskResultMismatch
    from django.tasks.signals import task_enqueued
else:
    from django_tasks import (
        TaskContext,
        TaskResult,
        TaskResultStatus,
        default_task_backend,
        task,
        task_backends,
    )
    from django_tasks.base import Task, TaskError
    from django_tasks.exceptions import TaskResultDoesNotExist, TaskResultMismatch
    from django_tasks.signals import task_enqueued

__all__ = [
    "LOGGER",
    "InvalidTask",
    "InvalidTaskBackend",
    "Task",
    "TaskContext",
    "TaskError",
    "TaskResult",
    "TaskResultDoesNotExist",
    "TaskResultMismatch",
    "TaskResultStatus",
    "default_task_backend",
    "task",
    "task_backends",
    "task_enqueued",
]

LOGGER = FRAMEWORK


@dataclass(frozen=True)
class Calls:
    """Calls the framework as sync code does, or as async code does."""

    are_async: bool

    def enqueue(self, a_task: Task, *args: Any, **kwargs: Any) -> TaskResult:
        """Enqueue a task."""
        call: Any = async_to_sync(a_task.aenqueue) if self.are_async else a_task.enqueue
        result: TaskResult = call(*args, **kwargs)
        return result

    def result(self, of: Any, result_id: Any) -> TaskResult:
        """Return the result that a task or a backend finds by an id."""
        call = async_to_sync(of.aget_result) if self.are_async else of.get_result
        result: TaskResult = call(result_id)
        return result

    def refresh(self, result: TaskResult) -> None:
        """Load a result again."""
        if self.are_async:
            async_to_sync(result.arefresh)()
        else:
            result.refresh()

    def finished(self, result: TaskResult) -> TaskResult:
        """Wait until a task is finished, and return its result, which is loaded again."""

        def is_finished() -> bool:
            self.refresh(result)
            return result.is_finished

        wait_until(is_finished, f"the end of task {result.id}")
        return result

    def run(self, a_task: Task, *args: Any, **kwargs: Any) -> TaskResult:
        """Enqueue a task, and return its result as soon as a server has run it."""
        return self.finished(self.enqueue(a_task, *args, **kwargs))


SYNC = Calls(are_async=False)

by_import_path = pytest.mark.skipif(
    django.VERSION < (6, 1), reason="Before Django 6.1 decorated tasks cannot be pickled"
)
by_class_of_task = pytest.mark.skipif(
    django.VERSION[:2] == (6, 0), reason="The decorator of Django 6.0 takes nothing else"
)
in_each_way_of_copying = pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        pytest.param(lambda each: pickle.loads(pickle.dumps(each)), marks=by_import_path),
    ],
    ids=["copy", "deepcopy", "pickle"],
)

in_both_ways = pytest.mark.parametrize(
    "calls", [SYNC, Calls(are_async=True)], ids=["called", "awaited"]
)


def of_each_kind(*pair: Task) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Have a test called with a sync task, and with an async one that does the same."""
    return pytest.mark.parametrize("a_task", pair, ids=["sync", "async"])


of_both_kinds = of_each_kind(tasks.take_any, tasks.take_any_async)
