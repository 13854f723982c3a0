"""A due time of SCHEDULE ──push_due──► READY"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from leek.database import Now, as_stored
from leek.lifecycle.pushing import push
from leek.models import QueuedTasks, Schedules, queue_database


def begin_schedules(names: Collection[str]) -> None:
    """Have recurring tasks begin now, unless they have begun: nothing is pushed for the past."""
    Schedules.objects.using(queue_database()).bulk_create(
        [Schedules(name=name, due_at=Now()) for name in names], ignore_conflicts=True
    )


def push_due(name: str, due_times: Sequence[datetime], task: dict[str, Any]) -> list[QueuedTasks]:
    """Push a recurring task for each of these due times, the latest last; return the rows.

    Nothing is pushed, and no row returned, where another server has pushed for any of them: which
    ones are left to push has then to be found out anew.
    """
    alias = queue_database()
    schedule = Schedules.objects.using(alias).filter(name=name)
    times = [as_stored(due) for due in due_times]
    with transaction.atomic(using=alias):
        if not schedule.filter(due_at__lt=times[0]).update(due_at=times[-1]):
            return []
        rows = push([task | {"run_after": due} for due in times])
        schedule.update(task=rows[-1])
    return rows
