"""The smallest site with each of the other queues, and the names that the README's tables use."""

from datetime import timedelta
from importlib import import_module
from types import ModuleType
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

MODULES = {
    "django-tasks-db": ["django_tasks_db"],
    "django-q2": ["django_q", "croniter"],
    "huey": ["huey"],
    "Celery": ["celery", "django_celery_beat"],
}
APPS = {
    "django-tasks-db": ["django_tasks_db"],
    "django-q2": ["django_q"],
    "huey": ["huey.contrib.djhuey"],
    "Celery": ["django_celery_beat"],
}
READERS = {  # of the keywords of calls
    "django-tasks-db": ["django_tasks_db.backend"],
    "django-q2": ["django_q.models", "django_q.tasks"],
    "huey": ["huey.api"],
    "Celery": ["celery.app.autoretry", "celery.app.base", "celery.app.task", "celery.schedules"],
}
SETTINGS: dict[str, Any] = {
    "TASKS": {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}},
    "Q_CLUSTER": {"name": "moving", "orm": "default", "timeout": 60, "retry": 120},
    "HUEY": {"huey_class": "huey.MemoryHuey", "name": "moving", "immediate": True},
}


def set_up(queue: str) -> None:
    """Make this process a site with that queue, and a database in memory."""
    settings.configure(
        SECRET_KEY="for tests only",
        USE_TZ=True,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", *APPS[queue]],
        **SETTINGS,
    )
    django.setup()
    call_command("migrate", verbosity=0)


def names(queue: str, members: ModuleType) -> dict[str, Any]:
    """Return what the calls of a table need: the queue's own names, and tasks of `members`."""
    common = {
        "when": timezone.now() + timedelta(days=1),
        "task_id": "0" * 32,
        "DEBUG": settings.DEBUG,
    }
    return common | vars(members) | _NAMES[queue](members)


def _of(*modules: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in modules:
        found |= vars(import_module(module))
    return found


def _django_tasks_db(members: ModuleType) -> dict[str, Any]:
    return _of("django_tasks_db.models")


def _django_q2(members: ModuleType) -> dict[str, Any]:
    return _of("django_q.models", "django_q.signals", "django_q.tasks")


def _huey(members: ModuleType) -> dict[str, Any]:
    found = _of("huey.exceptions", "huey.signals", "huey.api", "huey.contrib.djhuey")
    welcome, remind = (found["db_task"]()(task) for task in (members.welcome, members.remind))
    result = welcome(42)
    return found | {"welcome": welcome, "remind": remind, "result": result}


def _celery(members: ModuleType) -> dict[str, Any]:
    from celery import Celery, chain, chord, group, shared_task

    app = Celery(
        "mysite",
        broker="memory://",
        backend="cache+memory://",
        task_cls="celery.contrib.django.task:DjangoTask",
    )
    app.conf.task_always_eager = True
    found = _of("celery.signals", "celery.schedules", "celery.result")
    found |= _of("django_celery_beat.models")
    found |= {"chain": chain, "chord": chord, "group": group, "shared_task": shared_task}
    welcome = shared_task(members.welcome)
    bound = shared_task(bind=True, name="bound")(members.remind)
    bound.push_request(id="4711", called_directly=True)
    return found | {
        "welcome": welcome,
        "self": bound,
        "result": welcome.delay(42),
        "visibility_timeout": import_module("kombu.transport.redis").Channel.visibility_timeout,
    }


_NAMES = {
    "django-tasks-db": _django_tasks_db,
    "django-q2": _django_q2,
    "huey": _huey,
    "Celery": _celery,
}
