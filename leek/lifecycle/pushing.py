"""push ──► READY"""

from collections.abc import Sequence

from leek.database import insert_rows
from leek.lifecycle import sets
from leek.models import QueuedTasks, queue_database

BATCH = 1000


def push(row: QueuedTasks) -> QueuedTasks:
    """Store a new task, in the caller's transaction if there is one."""
    row.save(force_insert=True, using=queue_database())
    return row


def push_many(rows: Sequence[QueuedTasks]) -> list[QueuedTasks]:
    """Store new tasks in their order, all or none."""
    return insert_rows(sets.tasks(), rows, BATCH)
