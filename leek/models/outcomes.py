"""How tasks ended, and what went wrong on the way."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from leek.database import ExactCharField
from leek.models.base import QueueModel
from leek.models.tasks import QueuedTasks


class SuccessTasks(QueueModel):
    """The outcome of a task that succeeded.

    `server_id` was given to the server that ran it: its row ends with it. None: no server did.
    """

    task = models.OneToOneField(
        QueuedTasks,
        verbose_name=_("task"),
        primary_key=True,
        on_delete=models.CASCADE,
        related_name="success",
        # Both rows are written in one transaction, by leek.lifecycle only.
        db_constraint=False,
    )
    result = models.TextField(_("result"), null=True)  # noqa: DJ001 (None is stored as NULL)
    server_id = models.BigIntegerField(_("server"), null=True)
    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"))

    class Meta:
        verbose_name = _("successful task")
        verbose_name_plural = _("successful tasks")

    def __str__(self) -> str:
        return str(self.pk)


class FailedTasks(QueueModel):
    """The outcome of a task that failed for good: its last error."""

    task = models.OneToOneField(
        QueuedTasks,
        verbose_name=_("task"),
        primary_key=True,
        on_delete=models.CASCADE,
        related_name="failure",
        db_constraint=False,
    )
    exception_type = models.CharField(_("exception type"), max_length=255)
    exception_message = models.TextField(_("exception message"))
    traceback = models.TextField(_("traceback"))
    unique_key = ExactCharField(_("unique key"), max_length=255, null=True)
    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"))

    class Meta:
        verbose_name = _("failed task")
        verbose_name_plural = _("failed tasks")

    def __str__(self) -> str:
        return f"{self.pk} {self.exception_type}"


class FailedAttempts(QueueModel):
    """An attempt that failed, be it that a later one succeeded.

    Of each task the first and the latest are kept. `attempt` is its number, from 1; `server_id` as
    in SuccessTasks.
    """

    task = models.ForeignKey(
        QueuedTasks,
        verbose_name=_("task"),
        on_delete=models.CASCADE,
        related_name="failed_attempts",
        db_constraint=False,
    )
    attempt = models.PositiveIntegerField(_("attempt"))
    server_id = models.BigIntegerField(_("server"), null=True)
    exception_type = models.CharField(_("exception type"), max_length=255)
    exception_message = models.TextField(_("exception message"))
    traceback = models.TextField(_("traceback"))
    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"))

    class Meta:
        verbose_name = _("failed attempt")
        verbose_name_plural = _("failed attempts")

    def __str__(self) -> str:
        return f"{self.task_id} attempt {self.attempt} {self.exception_type}"


class AttemptLogs(QueueModel):
    """The latest lines that a task logged in one attempt, and how many `omitted` ones were before.

    `lines` are lists of the time, the level, the logger's name and the message, all as text.
    """

    task = models.ForeignKey(
        QueuedTasks,
        verbose_name=_("task"),
        on_delete=models.CASCADE,
        related_name="attempt_logs",
        db_constraint=False,
    )
    attempt = models.PositiveIntegerField(_("attempt"))
    lines = models.JSONField(_("lines"))
    omitted = models.PositiveIntegerField(_("omitted"), default=0)

    class Meta:
        verbose_name = _("log of an attempt")
        verbose_name_plural = _("logs of attempts")

    def __str__(self) -> str:
        return f"{self.task_id} attempt {self.attempt}"
