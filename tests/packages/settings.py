"""Settings of a site that has these packages, each set up as its own documentation says.

Before Django 6.0 that is Wagtail only, which needs but the package that backports the framework.
"""

import os
from typing import Any

import django

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS, MIDDLEWARE

INSTALLED_APPS = [
    *INSTALLED_APPS,
    "wagtail.contrib.frontend_cache",
    "wagtail.users",
    "wagtail.documents",
    "wagtail.images",
    "wagtail.search",
    "wagtail.admin",
    "wagtail",
    "modelcluster",
    "taggit",
    "django.contrib.staticfiles",
    "tests.packages.site",
]
if django.VERSION >= (6, 0):
    INSTALLED_APPS += ["maintenance_tasks", "tasks_monitor", "overseer", "django_scheduled_tasks"]
if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    INSTALLED_APPS.append("django.contrib.postgres")  # Wagtail's search needs it there
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":  # as django-overseer asks for
    DATABASES["default"]["OPTIONS"] |= {
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
    }
MIDDLEWARE = [*MIDDLEWARE, "django.middleware.csrf.CsrfViewMiddleware"]
ROOT_URLCONF = "tests.packages.site.urls"
STATIC_URL = "/static/"

TASKS = {
    "default": {
        "BACKEND": "leek.backend.LeekBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {"max_retries": 1},  # django-overseer tries again by itself
    },
    "stubborn": {
        "BACKEND": "leek.backend.LeekBackend",
        "OPTIONS": {"max_retries": 3, "retry_delay": 0},
    },
}
# Each batch is a task of its own, and who has just died counts as dead.
MAINTENANCE_TASKS = {"MAX_RUNTIME": 0, "STALE_AFTER": 0}
MEDIA_ROOT = os.environ.get("TESTS_MEDIA_ROOT", "")
WAGTAIL_SITE_NAME = "Vegetables"
WAGTAILADMIN_BASE_URL = "http://vegetables.example"
WAGTAILFRONTENDCACHE: dict[str, dict[str, Any]] = {}
if location := os.environ.get("TESTS_FRONT_END_CACHE"):
    WAGTAILFRONTENDCACHE["local"] = {
        "BACKEND": "wagtail.contrib.frontend_cache.backends.HTTPBackend",
        "LOCATION": location,
    }
