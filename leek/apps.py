"""The Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LeekConfig(AppConfig):
    """leek, a task queue."""

    name = "leek"
    verbose_name = _("Task queue")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, and have log records tell of tasks."""
        from leek import checks, log_context  # noqa: F401 (Django wants them imported here)

        log_context.install()
