"""Settings of the tests: DATABASE_URL picks the database, a file of SQLite by default.

SQLite is used as a newcomer has it, with Django's own options, or with TESTS_SQLITE_WAL as the
README recommends it.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import django
import environ

env = environ.Env()

FRAMEWORK = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"

SECRET_KEY = env.str("TESTS_SECRET_KEY", default="for tests only")
SECRET_KEY_FALLBACKS = env.list("TESTS_SECRET_KEY_FALLBACKS", default=[])
TIME_ZONE = "UTC"
USE_TZ = True
DEBUG = env.bool("TESTS_DEBUG", default=False)
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "leek",
    "tests.site",
]
if django.VERSION < (6, 0):
    INSTALLED_APPS.append("django_tasks")  # what backports Django's tasks framework
TASKS = {
    "default": {"BACKEND": "leek.backend.LeekBackend"},
    "mail": {"BACKEND": "leek.backend.LeekBackend", "QUEUES": ["mail", "news"]},
    "any": {"BACKEND": "leek.backend.LeekBackend", "QUEUES": []},
    "labelled": {
        "BACKEND": "tests.site.backends.LabellingBackend",
        "OPTIONS": {"PREFIX": "shop-", "max_retries": 2, "retry_delay": 0},
    },
    "plain": {"BACKEND": "tests.site.backends.PlainBackend"},
    "other": {"BACKEND": f"{FRAMEWORK}.backends.immediate.ImmediateBackend", "QUEUES": []},
}
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "tests.site.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
if django.VERSION >= (6, 1):
    MAILERS: dict[str, dict[str, Any]] = {
        "default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}
    }
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

_sqlite = Path(tempfile.gettempdir()) / f"leek-tests-{os.getpid()}.sqlite3"
DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{_sqlite}")}
if name := env.str("TESTS_DATABASE_NAME", default=""):  # set for the processes that tests start
    DATABASES["default"]["NAME"] = name
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {"timeout": 20}  # the disks of test machines may be slow
    if env.bool("TESTS_SQLITE_WAL", default=False):
        DATABASES["default"]["OPTIONS"] |= {
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        }
    DATABASES["default"]["TEST"] = {"NAME": str(_sqlite)}
if DATABASES["default"]["ENGINE"] == "django.db.backends.mysql":
    DATABASES["default"]["OPTIONS"] = {"charset": "utf8mb4"}
if env.bool("TESTS_READ_ONLY", default=False):
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        {
            "django.db.backends.sqlite3": {"init_command": "PRAGMA query_only=ON"},
            "django.db.backends.postgresql": {"options": "-c default_transaction_read_only=on"},
            "django.db.backends.mysql": {"init_command": "SET SESSION TRANSACTION READ ONLY"},
        }[DATABASES["default"]["ENGINE"]]
    )
if broker := env.str("TESTS_BROKER_URL", default=""):  # set for the sites that relay to Celery
    CELERY_BROKER_URL = broker
    CELERY_TASK_DEFAULT_QUEUE = env.str("TESTS_BROKER_QUEUE")
    CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
