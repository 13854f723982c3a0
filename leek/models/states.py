"""Where a task is in its life."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class State(models.IntegerChoices):
    """Where a task is in its life. Only `leek.lifecycle` changes it."""

    READY = 0, _("ready")
    DEFERRED = 1, _("deferred")
    RUNNING = 2, _("running")
    SUCCESSFUL = 3, _("successful")
    FAILED = 4, _("failed")
    BLOCKED = 5, _("blocked")


class Status(models.TextChoices):
    """A task's state in the words of Django's tasks."""

    READY = "READY", _("Ready")
    RUNNING = "RUNNING", _("Running")
    SUCCESSFUL = "SUCCESSFUL", _("Successful")
    FAILED = "FAILED", _("Failed")
