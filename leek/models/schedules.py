"""How far recurring tasks were pushed."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from leek.database import ExactCharField
from leek.models.base import QueueModel
from leek.models.tasks import QueuedTasks


class Schedules(QueueModel):
    """A recurring task of the setting SCHEDULE: up to which due time it was pushed, and its task.

    That there is one row for each is what keeps servers from pushing twice for one due time.
    """

    name = ExactCharField(_("name"), max_length=255, unique=True)
    due_at = models.DateTimeField(_("due at"))
    task = models.ForeignKey(
        QueuedTasks,
        verbose_name=_("task"),
        null=True,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )

    class Meta:
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")

    def __str__(self) -> str:
        return str(self.name)
