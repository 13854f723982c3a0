"""What the servers have counted."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from leek.database import ExactCharField
from leek.models.base import QueueModel


class Tallies(QueueModel):
    """How many attempts ended in one slice of time, and how long they had waited and took.

    A slice is `period` seconds long, as `leek.tally` names them. `name` is that of the tasks, or
    empty for all of them. `crashed` attempts ended with their process; `failed` ones were the last
    of their task. `waits` and `runs` count attempts by the bounds in `leek.tally`; `waited` and
    `ran` are their seconds in all.
    """

    period = models.PositiveIntegerField(_("period"))
    begins_at = models.DateTimeField(_("begins at"))
    name = ExactCharField(_("name"), max_length=255)
    succeeded = models.BigIntegerField(_("succeeded"), default=0)
    retried = models.BigIntegerField(_("retried"), default=0)
    crashed = models.BigIntegerField(_("crashed"), default=0)
    failed = models.BigIntegerField(_("failed"), default=0)
    waited = models.FloatField(_("waited"), default=0.0)
    ran = models.FloatField(_("ran"), default=0.0)
    waits = models.JSONField(_("waits"), default=list)
    runs = models.JSONField(_("runs"), default=list)

    class Meta:
        verbose_name = _("tally")
        verbose_name_plural = _("tallies")
        constraints = [
            models.UniqueConstraint(fields=["period", "begins_at", "name"], name="leek_tally_once")
        ]

    def __str__(self) -> str:
        return f"{self.name or 'all'} {self.begins_at} {self.period} s"
