"""A receiver of the end of tasks of Django's framework, for processes with TESTS_ENDS."""

import os
from typing import Any

from leek.framework import TaskResult, task_finished
from tests.site.models import Runs


def connect() -> None:
    """Have each end leave a row."""
    task_finished.connect(record)


def record(task_result: TaskResult, **facts: Any) -> None:
    """Leave a row that tells of the end, and of its last error."""
    words = ["end of", task_result.id, task_result.status.value, task_result.attempts]
    if task_result.errors:
        words.append(task_result.errors[-1].exception_class_path)
    Runs.objects.create(tag=" ".join(map(str, words)), process=os.getpid())
