"""FAILED ──retry_failed──► READY, and the end of finished tasks"""

from collections.abc import Sequence

from django.db import router, transaction
from django.db.models import Exists, F, ForeignObjectRel, OuterRef
from django.db.models.deletion import ProtectedError, RestrictedError

from leek.database import Now
from leek.lifecycle import sets
from leek.models import (
    FailedAttempts,
    FailedTasks,
    QueuedTasks,
    State,
    SuccessTasks,
    queue_database,
)


def retry_failed(ids: Sequence[int]) -> int:
    """Push failed tasks back, with clean counters and without their errors; return how many."""
    alias = queue_database()
    with transaction.atomic(using=alias):
        pushed = (
            sets.tasks()
            .filter(pk__in=ids, state=State.FAILED)
            .update(
                state=State.READY,
                tries=0,
                crashes=0,
                suspect=False,
                parked_since=None,
                owner=None,
                limited_by=None,
                progress_done=None,
                progress_total=None,
                run_after=Now(),
            )
        )
        for failures in (FailedTasks, FailedAttempts):
            failures.objects.using(alias).filter(task__in=ids, task__state=State.READY).delete()
    return pushed


def purge(ids: Sequence[int]) -> int:
    """Delete finished tasks with their outcome; return how many.

    Models of the site that refer to them have their `on_delete` obeyed: what they protect stays.
    """
    try:
        with transaction.atomic(using=queue_database()):
            return _delete_finished(ids)
    except (ProtectedError, RestrictedError):
        half = len(ids) // 2
        return purge(ids[:half]) + purge(ids[half:]) if half else 0


def _delete_finished(ids: Sequence[int]) -> int:
    alias = queue_database()
    if not ids:
        return 0
    finished = sets.tasks().filter(pk__in=ids, state__in=(State.SUCCESSFUL, State.FAILED))
    if _has_referrers(alias):
        finished.update(state=F("state"))  # locks them, and begins the transaction with a write
        return finished.only("pk").delete()[1].get(QueuedTasks._meta.label, 0)
    deleted = finished._raw_delete(alias)
    gone = ~Exists(sets.tasks().filter(pk=OuterRef("task")))
    for outcomes in (SuccessTasks, FailedTasks, FailedAttempts):
        outcomes._default_manager.using(alias).filter(gone, task__in=ids)._raw_delete(alias)
    return deleted


def _has_referrers(alias: str) -> bool:
    """Tell whether models of the site refer to tasks or outcomes, and are in this database."""
    return any(
        relation.related_model._meta.app_label != QueuedTasks._meta.app_label
        and router.allow_migrate_model(alias, relation.related_model)
        for model in (QueuedTasks, SuccessTasks, FailedTasks, FailedAttempts)
        for relation in model._meta.get_fields(include_hidden=True)
        if isinstance(relation, ForeignObjectRel)
    )
