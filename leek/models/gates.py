"""What keeps tasks from starting."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from leek.database import ExactCharField
from leek.models.base import QueueModel


class Gates(QueueModel):
    """What keeps tasks from starting: a service that is down, a limit, or a rate.

    `closed_since` and `reason` tell of an outage. `capacity` is how many tasks may run at a time,
    or start in `period` seconds; `starts` counts these by slices of the period.
    """

    name = ExactCharField(_("name"), max_length=255, unique=True)
    closed_since = models.DateTimeField(_("closed since"), null=True)
    reason = models.TextField(_("reason"), default="")
    capacity = models.PositiveIntegerField(_("capacity"), null=True)
    period = models.FloatField(_("period"), null=True)
    starts = models.JSONField(_("starts"), default=dict)
    used_at = models.DateTimeField(_("used at"))

    class Meta:
        verbose_name = _("gate")
        verbose_name_plural = _("gates")

    def __str__(self) -> str:
        return str(self.name)
