"""Rows that others may have locked."""

from typing import Any, TypeVar

from django.db import connections, models, transaction

Rows = TypeVar("Rows", bound=models.QuerySet[models.Model])


def unlocked(rows: Rows) -> Rows:
    """Lock rows, and return those that nobody else has locked.

    These are all of them, be they locked or not, where the database cannot tell.
    """
    if not _can_tell(rows.db):
        return rows
    return rows.filter(pk__in=_lock(rows))


def update_unlocked(rows: models.QuerySet[Any], limit: int, **values: Any) -> int:
    """Give up to `limit` rows new values, and return how many; locked ones are passed over.

    They are not where the database cannot tell.
    """
    if not _can_tell(rows.db):
        ids = list(rows.values_list("pk", flat=True)[:limit])
        return int(rows.filter(pk__in=ids).update(**values))
    with transaction.atomic(using=rows.db):
        # By their keys alone: on the way of another index MariaDB would meet the locked ones.
        changed = rows.model._base_manager.using(rows.db).filter(pk__in=_lock(rows, limit))
        return int(changed.update(**values))


def _lock(rows: models.QuerySet[Any], limit: int | None = None) -> list[Any]:
    """Lock up to `limit` rows that nobody else has locked; return their keys."""
    free = rows.select_for_update(skip_locked=True).values_list("pk", flat=True)
    return list(free[:limit])


def _can_tell(alias: str) -> bool:
    return bool(connections[alias].features.has_select_for_update_skip_locked)
