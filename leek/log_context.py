"""What every log record tells of the task in whose code it was made, and what is kept of it."""

import logging
from collections.abc import Callable
from typing import Any

from leek.attempt_log import collect
from leek.context import request_id
from leek.current import current_task
from leek.exceptions import TaskTimeout


def install() -> None:
    """Have every record made from now on tell of its task and its request.

    What makes records at present, be it the site's own factory, goes on making them. Where that is
    done again, as when Django sets its apps up anew, each record is told of and kept once.
    """
    make = logging.getLogRecordFactory()

    def make_and_tell(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if not hasattr(record, "leek_task_id"):
            _try(_tell, record)
            _try(collect, record)
        return record

    logging.setLogRecordFactory(make_and_tell)


def _try(action: Callable[[logging.LogRecord], None], record: logging.LogRecord) -> None:
    """Do something with a record, which the task's code must get in any case."""
    try:
        action(record)
    except TaskTimeout:  # the task's own, which it just meets here
        raise
    except Exception:  # noqa: BLE001 (what the site's factory has made may refuse anything)
        return


def _tell(record: logging.LogRecord) -> None:
    task = current_task()
    record.leek_task_id = task.id if task else None
    record.leek_task_name = task.name if task else None
    record.leek_attempt = task.attempt if task else None
    record.leek_request_id = request_id.get()


class TaskFormatter(logging.Formatter):
    """Names the task in front of what was logged in its code."""

    _others = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    _of_tasks = logging.Formatter(
        "%(asctime)s %(levelname)s [task %(leek_task_id)s %(leek_task_name)s] %(message)s"
    )

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        has_task = getattr(record, "leek_task_id", None) is not None
        return (self._of_tasks if has_task else self._others).format(record)


def name_tasks_on_stderr() -> None:
    """Name the tasks in what Python writes to stderr where nobody has said what becomes of it."""
    if logging.lastResort:
        logging.lastResort.setFormatter(TaskFormatter())
