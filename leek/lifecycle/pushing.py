"""push ──► READY"""

from collections.abc import Sequence
from typing import Any

from leek.database import insert_rows, insert_unless_taken
from leek.lifecycle import sets
from leek.models import QueuedTasks, queue_database

LOOKS = 10  # for the task that has a unique key; each may be finished before it is found


def push(tasks: Sequence[dict[str, Any]]) -> list[QueuedTasks]:
    """Store new tasks in their order, and return their rows.

    They are given by the attributes of QueuedTasks that are not the defaults. All are stored or
    none, in the caller's transaction if there is one.
    """
    return insert_rows(queue_database(), QueuedTasks, tasks)


def push_unique(task: dict[str, Any]) -> QueuedTasks:
    """Store a task that has a unique key, and return its row; or that of who has the key already.

    If its holder is pushed, or settled, in a transaction that is still open, the database waits for
    that.
    """
    for _ in range(LOOKS):
        if row := insert_unless_taken(queue_database(), QueuedTasks, task, "unique_key"):
            return row
        if holder := sets.tasks().filter(unique_key=task["unique_key"]).first():
            holder.duplicate = True
            return holder
    (row,) = push([task])
    return row
