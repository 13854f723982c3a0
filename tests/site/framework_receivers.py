"""Receivers of the signals of Django's tasks framework, for the processes that tests start.

TESTS_FRAMEWORK_RECEIVERS names one of them, TESTS_SIGNALS the file that tells of the signals, a
line of JSON for each.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from django.dispatch import Signal

from leek.framework import task_backends, task_finished, task_started
from tests.site import receivers
from tests.site.policies import note

NAMES = {task_started: "started", task_finished: "finished"}

fail = receivers.fail
break_transaction = receivers.break_transaction


def connect(name: str) -> None:
    """Have one of the receivers called for both signals that a server sends."""
    receiver: Callable[..., None] = globals()[name]
    for signal in NAMES:
        signal.connect(receiver)


def record(signal: Signal, sender: Any, task_result: Any, **facts: Any) -> None:
    """Tell of a signal, and of how the result is stored at this moment."""
    stored = task_backends[task_result.backend].get_result(task_result.id)
    handled = sys.exc_info()[1]
    told = {
        "signal": NAMES[signal],
        "sender": sender.__qualname__,
        "id": task_result.id,
        "status": task_result.status.value,
        "stored": stored.status.value,
        "attempts": task_result.attempts,
        "errors": [error.exception_class_path for error in task_result.errors],
        "value": task_result.return_value if task_result.status == "SUCCESSFUL" else None,
        "handled": str(handled) if handled else None,
    }
    note(os.environ["TESTS_SIGNALS"], json.dumps(told))


async def record_slowly(signal: Signal, task_result: Any, **facts: Any) -> None:
    """Tell of a signal, asynchronously."""
    stored = await task_backends[task_result.backend].aget_result(task_result.id)
    told = {"signal": NAMES[signal], "id": task_result.id, "stored": stored.status.value}
    note(os.environ["TESTS_SIGNALS"], json.dumps(told))
