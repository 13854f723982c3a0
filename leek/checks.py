"""System checks: settings that cannot work, and databases that will say "database is locked".

`manage.py check` and Django's own commands run them with those of the whole site. leek's commands
are started often, from cron and by monitoring: they look at leek's settings only, and `leek_server`
at its database and at mail backends as well.
"""

from contextlib import suppress
from typing import Any

import django
from django import get_version
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import DEFAULT_DB_ALIAS

from leek import conf, mail
from leek.celery.apps import NoCeleryApp, accepts_messages, celery_app
from leek.database import sqlite_shortcomings
from leek.models import queue_database
from leek.policy import atomic_refusal

# tags
SETTINGS, DATABASE, MAIL, ENGINE = "leek_settings", "leek_database", "leek_mail", "leek_engine"

BACKEND = "leek.backend.LeekBackend"

SHORTEST_TOKEN = 16  # characters

SQLITE_REMEDY = (
    'Add "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command":'
    ' "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"} to DATABASES["%s"].'
)


@register(SETTINGS)
def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Report keys and variables that leek does not know, and values that cannot be used."""
    given = getattr(settings, "TASKS_QUEUE", {})
    if not isinstance(given, dict):
        remedy = 'Set it like TASKS_QUEUE = {"MAX_RETRIES": 3}, or leave it out.'
        return [Error(f"TASKS_QUEUE is {given!r}, not a dictionary.", remedy, id="leek.E001")]
    return [
        *(
            Error(f'TASKS_QUEUE has an unknown key, "{key}".', remedy, id="leek.E002")
            for key, remedy in conf.unknown_keys().items()
        ),
        *(Error(wrong.problem, wrong.remedy, id="leek.E003") for wrong in conf.wrong_values()),
        *_atomic_elsewhere(),
        *_framework_is_missing(),
        *_runserver_without_debug(),
        *_weak_token(),
        *(
            Warning(f"The environment variable {name} sets nothing.", remedy, id="leek.W002")
            for name, remedy in conf.misspelt_variables().items()
        ),
    ]


def _atomic_elsewhere() -> list[CheckMessage]:
    """Report that all tasks are to be atomic, but with another database than the queue's."""
    try:
        if not conf.config.ATOMIC_TASKS or (alias := queue_database()) == DEFAULT_DB_ALIAS:
            return []
    except conf.InvalidSetting:
        return []
    problem = atomic_refusal("Every task", DEFAULT_DB_ALIAS, alias)
    remedy = 'Leave out TASKS_QUEUE["ATOMIC_TASKS"], or put the queue into the default database.'
    return [Error(problem, remedy, id="leek.E004")]


def _weak_token() -> list[CheckMessage]:
    """Warn of a token that can be guessed."""
    with suppress(conf.InvalidSetting):
        token = conf.config.HEALTH_TOKEN
        if token is not None and len(token) < SHORTEST_TOKEN:
            problem = f"HEALTH_TOKEN has only {len(token)} character(s), and can be guessed."
            remedy = f"Give it {SHORTEST_TOKEN} or more; secrets.token_urlsafe() makes one."
            return [Warning(problem, remedy, id="leek.W004")]
    return []


def check_backends() -> list[CheckMessage]:
    """Return what is wrong with the aliases of TASKS that are leek's, as Django's own check does.

    That one is not run by leek's commands, and looks at all aliases.
    """
    if not settings.is_overridden("TASKS"):  # type: ignore[misc]
        return []
    try:
        from leek.backend import LeekBackend
        from leek.framework import InvalidTaskBackend, task_backends
    except ImportError:  # check_settings reports it
        return []
    messages: list[CheckMessage] = []
    for alias in task_backends:
        with suppress(InvalidTaskBackend):  # of somebody else: Django reports it
            if isinstance(backend := task_backends[alias], LeekBackend):
                messages += backend.check()
    return messages


def _framework_is_missing() -> list[CheckMessage]:
    """Report that leek is to run tasks of Django's framework where that is not there."""
    if django.VERSION >= (6, 0) or apps.is_installed("django_tasks"):
        return []
    return [
        Error(
            f'TASKS["{alias}"] needs the tasks framework, which Django {get_version()} lacks.',
            'pip install django-leek[tasks], and add "django_tasks" to INSTALLED_APPS.',
            id="leek.E007",
        )
        for alias, params in getattr(settings, "TASKS", {}).items()
        if params.get("BACKEND") == BACKEND
    ]


def _runserver_without_debug() -> list[CheckMessage]:
    """Report that `runserver` is to run tasks, which it does in development only."""
    with suppress(conf.InvalidSetting):
        if conf.config.RUNSERVER and not settings.DEBUG:
            problem = 'TASKS_QUEUE["RUNSERVER"] does nothing, because DEBUG is False.'
            remedy = 'Set it to DEBUG, and have tasks run by "manage.py leek_server".'
            return [Warning(problem, remedy, id="leek.W003")]
    return []


@register(DATABASE)
def check_database(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn of an SQLite database that will be "locked" when several processes write to it."""
    try:
        alias = queue_database()
    except conf.InvalidSetting:  # check_settings reports it
        return []
    if not (lacking := sqlite_shortcomings(alias)):
        return []
    return [
        Warning(
            f'The SQLite database "{alias}" lacks {" and ".join(lacking)}: when several processes'
            ' write to it, some will fail with "database is locked".',
            SQLITE_REMEDY % alias,
            id="leek.W001",
        )
    ]


@register(ENGINE)
def check_engine(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Report that Celery is to run the tasks, but is not there, or not as the settings name it."""
    with suppress(conf.InvalidSetting):  # check_settings reports it
        if conf.config.ENGINE == "celery":
            try:
                app = celery_app()
            except NoCeleryApp as error:
                return [Error(error.problem, error.remedy, id="leek.E009")]
            if not accepts_messages(app):
                problem = "The Celery app refuses JSON, in which it is told of leek's tasks."
                remedy = 'Add "json" to CELERY_ACCEPT_CONTENT, or to accept_content of your app.'
                return [Error(problem, remedy, id="leek.E009")]
    return []


@register(MAIL)
def check_mail(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Report mail backends of leek's that name none that could send, or options that are wrong."""
    reported = {wrong.problem for wrong in conf.wrong_values()}  # by check_settings
    return [
        Error(wrong.problem, wrong.remedy, id="leek.E008")
        for wrong in mail.wrong_backends()
        if wrong.problem not in reported
    ]
