"""The Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LeekConfig(AppConfig):
    """leek, a task queue."""

    name = "leek"
    verbose_name = _("Task queue")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks, have log records tell of tasks, and let their rows be acted upon."""
        from leek import checks, handles, log_context  # noqa: F401 (the checks register themselves)
        from leek.models import QueuedTasks

        log_context.install()
        QueuedTasks.handles = handles
