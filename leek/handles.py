"""What is done with a task by way of its row."""

from leek import eager, lifecycle
from leek.conf import config
from leek.connections import on_commit_once
from leek.hinting import hint
from leek.models import QueuedTasks, queue_database


def retry(row: QueuedTasks) -> bool:
    """Push a failed task back, and tell the server when that is committed.

    Return False where it had not failed, or a newer task has taken its unique key.
    """
    is_pushed = lifecycle.retry_failed([row.pk]).number > 0
    row.refresh_from_db()
    if is_pushed and config.EAGER:
        eager.run(row)
    elif is_pushed:
        on_commit_once(queue_database(), hint)
    return is_pushed
