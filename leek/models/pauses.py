"""The queues that are paused."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from leek.database import ExactCharField
from leek.models.base import QueueModel


class PausedQueues(QueueModel):
    """A queue from which no server takes a task, as long as this row is there."""

    name = ExactCharField(_("name"), max_length=100, unique=True)
    paused_at = models.DateTimeField(_("paused at"))

    class Meta:
        verbose_name = _("paused queue")
        verbose_name_plural = _("paused queues")

    def __str__(self) -> str:
        return str(self.name)
