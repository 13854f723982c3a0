"""push ──► READY"""

from collections.abc import Sequence

from leek.database import insert_rows
from leek.models import QueuedTasks, queue_database


def push(rows: Sequence[QueuedTasks]) -> None:
    """Store new tasks in their order, all or none, in the caller's transaction if there is one."""
    insert_rows(queue_database(), rows)
