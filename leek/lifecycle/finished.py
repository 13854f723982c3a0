"""FAILED ──retry_failed──► READY, and the end of finished tasks"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, router, transaction
from django.db.models import Exists, F, ForeignObjectRel, OuterRef, QuerySet
from django.db.models.deletion import ProtectedError, RestrictedError

from leek.database import Now
from leek.lifecycle import sets
from leek.models import (
    AttemptLogs,
    FailedAttempts,
    FailedTasks,
    QueuedTasks,
    State,
    SuccessTasks,
    queue_database,
)

_PUSHED_BACK: dict[str, Any] = {
    "state": State.READY,
    "tries": 0,
    "crashes": 0,
    "suspect": False,
    "parked_since": None,
    "owner": None,
    "limited_by": None,
    "progress_done": None,
    "progress_total": None,
    "run_after": Now(),
}


@dataclass(frozen=True)
class PushedBack:
    """How many failed tasks were pushed back, and which were left: a newer one has their key."""

    number: int = 0
    left: tuple[int, ...] = ()

    def __add__(self, other: "PushedBack") -> "PushedBack":
        """Return both together."""
        return PushedBack(self.number + other.number, self.left + other.left)


def retry_failed(ids: Sequence[int]) -> PushedBack:
    """Push failed tasks back, with clean counters and without their errors and logs.

    One that had a unique key gets it back, in a transaction of its own: who waits for the key that
    another one is just taking holds no other. Where it is taken the task stays as it is.
    """
    failures = FailedTasks.objects.using(queue_database()).filter(pk__in=ids)
    with_key = failures.exclude(unique_key=None).order_by("pk")
    number = _push_back_without_key(ids, with_key)
    left = []
    for task_id, key in with_key.values_list("pk", "unique_key"):
        try:
            number += _push_back(task_id, key)
        except IntegrityError:
            left.append(task_id)
    return PushedBack(number, tuple(left))


def _push_back_without_key(ids: Sequence[int], with_key: QuerySet[FailedTasks]) -> int:
    failed = sets.tasks().filter(pk__in=ids, state=State.FAILED)
    with transaction.atomic(using=queue_database()):
        pushed = failed.exclude(Exists(with_key.filter(pk=OuterRef("pk")))).update(**_PUSHED_BACK)
        if pushed:
            _forget_attempts(ids)
    return pushed


def _push_back(task_id: int, key: str | None) -> int:
    """Push a failed task back with its unique key; raise IntegrityError where that is taken."""
    failed = sets.tasks().filter(pk=task_id, state=State.FAILED)
    with transaction.atomic(using=queue_database()):
        pushed = failed.update(**_PUSHED_BACK, unique_key=key)
        if pushed:
            _forget_attempts([task_id])
    return pushed


def _forget_attempts(ids: Sequence[int]) -> None:
    for kept in (FailedTasks, FailedAttempts, AttemptLogs):
        rows = kept._default_manager.using(queue_database()).filter(task__in=ids)
        rows.filter(task__state=State.READY).delete()


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
    # Not as a subquery of the deletions: MariaDB would lock tasks for it, and others than these.
    gone = set(ids).difference(sets.tasks().filter(pk__in=ids).values_list("pk", flat=True))
    for outcomes in (SuccessTasks, FailedTasks, FailedAttempts, AttemptLogs):
        outcomes._default_manager.using(alias).filter(task__in=gone)._raw_delete(alias)
    return deleted


def _has_referrers(alias: str) -> bool:
    """Tell whether models of the site refer to tasks or outcomes, and are in this database."""
    return any(
        relation.related_model._meta.app_label != QueuedTasks._meta.app_label
        and router.allow_migrate_model(alias, relation.related_model)
        for model in (QueuedTasks, SuccessTasks, FailedTasks, FailedAttempts, AttemptLogs)
        for relation in model._meta.get_fields(include_hidden=True)
        if isinstance(relation, ForeignObjectRel)
    )
