"""Receivers of leek's signals, for the processes that tests start: TESTS_RECEIVERS names them."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from django.db import connection
from django.dispatch import Signal

from leek.current import current_task
from leek.models import QueuedTasks
from leek.signals import task_finished, task_pushed, task_retried, task_started
from tests.site.models import Runs

NAMES = {task_started: "started", task_retried: "retried", task_finished: "finished"}


def connect(name: str) -> None:
    """Have one of the receivers below called for all signals that a server sends."""
    receiver: Callable[..., None] = globals()[name]
    for signal in [task_pushed] if name == "record_push" else NAMES:
        signal.connect(receiver)


def record(signal: Signal, task_id: int, attempt: int, **facts: Any) -> None:
    """Leave a row that tells of the signal."""
    words = [NAMES[signal], task_id, attempt]
    if signal is task_started:
        task = current_task()
        assert task
        assert (task.id, task.name, task.attempt) == (task_id, facts["name"], attempt)
    else:
        assert current_task() is None
        assert facts["started_at"] <= facts["finished_at"]
        words += [facts["status"].value, facts["error"] and facts["error"].type]
    Runs.objects.create(tag=" ".join(map(str, words)), process=os.getpid())


def record_push(task: QueuedTasks, **facts: Any) -> None:
    """Leave a row that tells of what is pushed in a server."""
    Runs.objects.create(tag=f"pushed {task.pk}", process=os.getpid())


async def record_slowly(signal: Signal, task_id: int, **facts: Any) -> None:
    """Leave a row that tells of the signal, asynchronously."""
    await Runs.objects.acreate(tag=f"{NAMES[signal]} {task_id}", process=os.getpid())


def fail(**facts: Any) -> None:
    """Raise ValueError."""
    raise ValueError("a receiver's")


def break_transaction(**facts: Any) -> None:
    """End an open transaction, as far as the database is concerned."""
    Group.objects.create(name="a receiver's")
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO auth_group (name) VALUES ('a receiver''s')")


def wait(signal: Signal, task_id: int, **facts: Any) -> None:
    """Wait at the end of a task until the file TESTS_GATE is there, then leave a row.

    A file beside it says that it waits.
    """
    if signal is task_finished:
        gate = os.environ["TESTS_GATE"]
        Path(f"{gate}.begun").touch()
        while not Path(gate).exists():
            time.sleep(0.005)
        Runs.objects.create(tag=f"finished {task_id}", process=os.getpid())
