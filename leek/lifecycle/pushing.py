"""push ──► READY"""

from collections.abc import Sequence
from typing import Any

from leek.database import insert_rows
from leek.models import QueuedTasks, queue_database


def push(tasks: Sequence[dict[str, Any]]) -> list[QueuedTasks]:
    """Store new tasks in their order, and return their rows.

    They are given by the attributes of QueuedTasks that are not the defaults. All are stored or
    none, in the caller's transaction if there is one.
    """
    return insert_rows(queue_database(), QueuedTasks, tasks)
