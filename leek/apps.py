"""The Django app."""

from contextlib import suppress
from importlib import import_module

from django.apps import AppConfig
from django.conf import settings
from django.utils.translation import gettext_lazy as _


class LeekConfig(AppConfig):
    """leek, a task queue."""

    name = "leek"
    verbose_name = _("Task queue")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks, have log records tell of tasks, and let their rows be acted upon.

        In development `runserver` may run tasks as well. With Celery as the engine, the workers of
        the site's own Celery app get the task that runs leek's.
        Django looks at TASKS only if something has imported its tasks framework.
        """
        from leek import checks, handles, log_context  # noqa: F401 (the checks register themselves)
        from leek.conf import InvalidSetting, config
        from leek.models import QueuedTasks
        from leek.runserver import wants_server

        if settings.is_overridden("TASKS"):  # type: ignore[misc]
            with suppress(ImportError):  # a check tells of it
                import_module("leek.framework")
        log_context.install()
        QueuedTasks.handles = handles
        if wants_server():
            from leek.engine import supervisor_from

            import_module("leek.server.embedded").start(supervisor_from)
        with suppress(InvalidSetting, ImportError):  # checks tell of it
            if config.ENGINE == "celery":
                import_module("leek.celery.tasks")
