"""Settings of a site without Django's tasks framework: Django 5.2, and no package for it."""

import sys
from typing import Any

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

NONE: Any = {}
sys.modules["django_tasks"] = None  # type: ignore[assignment]  # as if it were not installed
INSTALLED_APPS.remove("django_tasks")
TASKS = NONE
