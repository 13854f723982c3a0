"""READY, DEFERRED, BLOCKED ──cancel──► FAILED"""

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from leek.lifecycle import sets
from leek.lifecycle.rearranging import WAITING
from leek.lifecycle.settling import record_failures
from leek.models import QueuedTasksQuerySet, State, queue_database
from leek.outcome import Failure, cancelled


def cancel(task_id: int) -> Failure | None:
    """Fail a task that waits as TaskCancelled, and free its unique key; return that, or None.

    If a server claims it at the same time, one of the two gets it.
    """
    try:
        return _cancel([task_id])[0]
    except sets.Superseded:
        return None


def cancel_many(ids: Sequence[int]) -> list[Failure]:
    """Do as `cancel` with those of these tasks that wait, in one transaction; return their ends.

    Where one is claimed at the same time they are cancelled one by one.
    """
    waiting = list(_waiting(ids).values_list("pk", flat=True))
    try:
        return _cancel(waiting) if waiting else []
    except sets.Superseded:
        return [outcome for task_id in waiting if (outcome := cancel(task_id))]


def _cancel(ids: Sequence[int]) -> list[Failure]:
    """Cancel tasks, all or none; raise Superseded if one does not wait."""
    now = timezone.now()
    with transaction.atomic(using=queue_database()):
        if _waiting(ids).update(state=State.FAILED, suspect=False, blocked_by=None) != len(ids):
            raise sets.Superseded
        rows = sets.tasks().filter(pk__in=ids).order_by("pk")
        outcomes = [cancelled(row, now, now, has_begun=False) for row in sets.as_claimed(rows)]
        record_failures(outcomes)
    return outcomes


def _waiting(ids: Sequence[int]) -> QueuedTasksQuerySet:
    return sets.tasks().filter(pk__in=ids, state__in=WAITING)
