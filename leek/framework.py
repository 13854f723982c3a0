"""Django's tasks framework: `django.tasks`, or before Django 6.0 the package that backports it.

Whatever of leek deals with it has it from here. Importing this raises ImportError where there is
neither.
"""

import json
from typing import TYPE_CHECKING, Any

import django

if TYPE_CHECKING or django.VERSION >= (6, 0):
    from django.tasks import task_backends
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import (
        DEFAULT_TASK_PRIORITY,
        DEFAULT_TASK_QUEUE_NAME,
        Task,
        TaskContext,
        TaskError,
        TaskResult,
        TaskResultStatus,
    )
    from django.tasks.exceptions import InvalidTask, InvalidTaskBackend, TaskResultDoesNotExist
    from django.tasks.signals import task_enqueued, task_finished, task_started
    from django.utils.json import normalize_json
else:
    try:
        from django_tasks import task_backends
    except ModuleNotFoundError as error:
        raise ImportError(
            f"Django {django.get_version()} has no tasks framework. Install the package that"
            " backports it: pip install django-leek[tasks]"
        ) from error
    from django_tasks import exceptions
    from django_tasks.backends.base import BaseTaskBackend
    from django_tasks.base import (
        DEFAULT_TASK_PRIORITY,
        DEFAULT_TASK_QUEUE_NAME,
        Task,
        TaskContext,
        TaskError,
        TaskResult,
        TaskResultStatus,
    )
    from django_tasks.exceptions import TaskResultDoesNotExist
    from django_tasks.signals import task_enqueued, task_finished, task_started
    from django_tasks.utils import normalize_json

    # Up to 0.12 their names end in "Error".
    InvalidTask = getattr(exceptions, "InvalidTask", None) or exceptions.InvalidTaskError
    InvalidTaskBackend = (
        getattr(exceptions, "InvalidTaskBackend", None) or exceptions.InvalidTaskBackendError
    )

__all__ = [
    "DEFAULT_TASK_PRIORITY",
    "DEFAULT_TASK_QUEUE_NAME",
    "BaseTaskBackend",
    "InvalidTask",
    "InvalidTaskBackend",
    "Task",
    "TaskContext",
    "TaskError",
    "TaskResult",
    "TaskResultDoesNotExist",
    "TaskResultStatus",
    "as_json",
    "task_backends",
    "task_enqueued",
    "task_finished",
    "task_started",
]


def as_json(value: Any) -> Any:
    """Return a value as it is after it was JSON; raise TypeError or ValueError where it cannot be.

    What JSON may be made of is Django's rule; keys that are not text become text, as `json` has it.
    """
    return json.loads(json.dumps(normalize_json(value), allow_nan=False))
