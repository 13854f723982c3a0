"""Settings of a site whose queue is not in its default database: two files of SQLite.

With TESTS_ROUTER a router says so, which has tasks read from the other database, like one that
spares the primary by reading from a replica; without, TASKS_QUEUE does.
"""

from pathlib import Path
from typing import Any

from tests.settings import *  # noqa: F403
from tests.settings import env

HOME = Path(env.str("TESTS_HOME"))
DATABASES = {
    alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": HOME / f"{alias}.sqlite3"}
    for alias in ("default", "queue")
}


class Router:
    """Writes to the queue's database what belongs to leek, and reads it from the default one."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        """Return the alias of a replica that lags."""
        return "default" if model._meta.app_label == "leek" else None

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        """Return the alias of the primary."""
        return "queue" if model._meta.app_label == "leek" else None


if env.bool("TESTS_ROUTER", default=False):
    DATABASE_ROUTERS = ["tests.two_databases.Router"]
else:
    TASKS_QUEUE = {"DATABASE": "queue"}
