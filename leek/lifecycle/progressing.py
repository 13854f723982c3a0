"""What is told of running tasks: no moves, but written under the same fences"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime

from django.db import transaction

from leek.database import has_one_writer
from leek.lifecycle import sets
from leek.models import Servers, State, queue_database
from leek.outcome import Progress


def note_progress(latest: Sequence[Progress]) -> None:
    """Store how far tasks are which are still their claim's, or have ended under it.

    Where others write at the same time they are stored one by one, so that nobody waits for more
    than one row, and no two wait for each other.
    """
    alias = queue_database()
    with transaction.atomic(using=alias) if has_one_writer(alias) else nullcontext():
        for each in latest:
            mine = sets.tasks().filter(pk=each.task_id, owner=each.owner, claim=each.claim)
            mine.filter(state__in=(State.RUNNING, State.SUCCESSFUL, State.FAILED)).update(
                progress_done=each.done, progress_total=each.total
            )


def note_running(server_id: int, since: Mapping[int, datetime]) -> None:
    """Store which tasks a server has been running for a while, as long as it has its row."""
    running = {str(task_id): time.isoformat() for task_id, time in since.items()}
    Servers.objects.using(queue_database()).filter(pk=server_id).update(running=running)
