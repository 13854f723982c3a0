"""The servers and their leases."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from leek.models.base import QueueModel


class Servers(QueueModel):
    """A running `leek_server` and its lease, which lives until `expires_at`.

    One without `workers` relays what it claims to Celery. A process of a Celery worker is a server
    as well, without a `port`, because it listens nowhere: it runs what is relayed, and serves no
    queue by itself.
    `host` tells machines (and containers) apart, `boot` one start from the next. `running` has the
    tasks that have been running for a while: their ids, each with the time since when, as text.
    """

    boot = models.UUIDField(_("boot"), unique=True)
    host = models.CharField(_("host"), max_length=255)
    hostname = models.CharField(_("host name"), max_length=255)
    address = models.CharField(_("address"), max_length=255)
    port = models.PositiveIntegerField(_("port"))
    pid = models.PositiveIntegerField(_("process id"))
    workers = models.PositiveIntegerField(_("workers"))
    queues = models.JSONField(_("queues"), null=True)
    running = models.JSONField(_("running"), default=dict, db_default={})
    started_at = models.DateTimeField(_("started at"))
    expires_at = models.DateTimeField(_("expires at"))

    class Meta:
        verbose_name = _("server")
        verbose_name_plural = _("servers")

    def __str__(self) -> str:
        if not self.port:
            return f"{self.hostname} Celery (process {self.pid})"
        return f"{self.hostname} {self.address}:{self.port} (process {self.pid})"
