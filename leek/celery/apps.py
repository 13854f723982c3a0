"""Which Celery app sends messages, and gets them: the site's, or one of leek's own."""

import warnings
from functools import cache
from typing import Any

from django.conf import settings

from leek.conf import config
from leek.exceptions import LeekError

OWN = "leek.celery:app"
OWN_QUEUE = "leek"  # not Celery's "celery", whose messages may be those of an app of the site


class NoCeleryApp(LeekError):
    """The Celery app that the settings name cannot be had: the problem, and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy


@cache
def own_app() -> Any:
    """Return leek's app, which reads the site's CELERY_* settings; nobody else gets it unasked."""
    from celery import Celery

    app = Celery("leek", set_as_current=False, include=["leek.celery.tasks"])
    app.config_from_object("django.conf:settings", namespace="CELERY")
    if getattr(settings, "CELERY_TASK_DEFAULT_QUEUE", None) is None:
        app.conf.task_default_queue = OWN_QUEUE
    return app


def is_own(app: Any) -> bool:
    """Tell whether an app is leek's own."""
    return bool(own_app.cache_info().currsize) and app is own_app()


def celery_app() -> Any:
    """Return the app that the settings name; raise NoCeleryApp."""
    try:
        import celery.app.utils as celery_utils
    except ImportError as error:
        problem = f'TASKS_QUEUE["ENGINE"] is "celery", which does not import: {error}.'
        raise NoCeleryApp(problem, "pip install django-leek[celery]") from error
    path = config.CELERY_APP
    if path is None:
        return own_app()
    try:
        with warnings.catch_warnings():
            app = celery_utils.find_app(path)
    except Exception as error:
        problem = f'TASKS_QUEUE["CELERY_APP"] is "{path}", which does not import: {error!r}.'
        raise NoCeleryApp(problem, "Name it as for celery -A.") from error
    if not hasattr(app, "send_task"):
        problem = f'TASKS_QUEUE["CELERY_APP"] is "{path}", which is no Celery app.'
        raise NoCeleryApp(problem, "Name it as for celery -A.")
    return app


def accepts_messages(app: Any) -> bool:
    """Tell whether the workers of an app read the format that messages are sent in."""
    return not {"json", "application/json"}.isdisjoint(app.conf.accept_content or ())
