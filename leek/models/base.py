"""What the tables of leek have in common: where their rows are."""

from typing import Any, TypeVar

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import models, router

from leek.conf import config

if not apps.is_installed("leek"):
    raise ImproperlyConfigured('leek needs its tables. Add "leek" to INSTALLED_APPS.')

Row = TypeVar("Row", bound=models.Model, covariant=True)


def queue_database() -> str:
    """Return the alias of the database that holds the queue."""
    return config.DATABASE or router.db_for_write(apps.get_model("leek", "QueuedTasks"))


class QueueQuerySet(models.QuerySet[Row]):
    """Rows of leek: all of them are in the queue's database."""

    _db: str | None
    _hints: dict[str, Any]

    @property
    def db(self) -> str:
        """The alias that was given to `using`, else where the rows are.

        A router is not asked where to read: a replica may not have yet what was pushed. A row of
        leek is loaded again, with what belongs to it, from where it came.
        """
        origin = self._hints.get("instance")
        loaded_from = origin._state.db if isinstance(origin, QueueModel) else None
        return self._db or loaded_from or queue_database()


class QueueModel(models.Model):
    """What the tables of leek have in common: where their rows are."""

    objects = QueueQuerySet.as_manager()

    class Meta:
        abstract = True
        base_manager_name = "objects"  # for refresh_from_db and what refers to a row, too
