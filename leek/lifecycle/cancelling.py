"""READY, DEFERRED, BLOCKED ──cancel──► FAILED"""

from django.db import transaction
from django.utils import timezone

from leek.lifecycle import sets
from leek.lifecycle.settling import record_failures
from leek.models import State, queue_database
from leek.outcome import Claimed, Failure, cancelled

_WAITING = (State.READY, State.DEFERRED, State.BLOCKED)


def cancel(task_id: int) -> Failure | None:
    """Fail a task that waits as TaskCancelled, and free its unique key; return that, or None.

    If a server claims it at the same time, one of the two gets it.
    """
    task, now = sets.tasks().filter(pk=task_id), timezone.now()
    with transaction.atomic(using=queue_database()):
        waiting = task.filter(state__in=_WAITING)
        if not waiting.update(state=State.FAILED, suspect=False, blocked_by=None):
            return None
        claimed = Claimed._make(task.values_list(*Claimed._fields).get())
        outcome = cancelled(claimed, now, now, has_begun=False)
        record_failures([outcome])
    return outcome
