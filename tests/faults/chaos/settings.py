"""Settings of the site whose tasks are run under faults; DATABASE_URL names its database."""

import environ

from tests.faults.chaos import schedule

env = environ.Env()

SECRET_KEY = "for chaos only"
TIME_ZONE = "UTC"
USE_TZ = True
INSTALLED_APPS = ["leek", "tests.faults.chaos.apps.ChaosConfig"]
DATABASES = {"default": env.db_url("DATABASE_URL")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Processes die here, and machines do not: nothing has to reach the disk.
    pragmas = ["PRAGMA synchronous=OFF"]
    DATABASES["default"]["OPTIONS"] = {"timeout": 2}
    if env.bool("TESTS_SQLITE_WAL", default=False):
        DATABASES["default"]["OPTIONS"]["transaction_mode"] = "IMMEDIATE"
        pragmas.append("PRAGMA journal_mode=WAL")
    DATABASES["default"]["OPTIONS"]["init_command"] = "; ".join(pragmas)
if DATABASES["default"]["ENGINE"] == "django.db.backends.mysql":
    DATABASES["default"]["OPTIONS"] = {"charset": "utf8mb4"}
TASKS_QUEUE = {
    "LEASE": schedule.LEASE,
    "POLL_INTERVAL": schedule.POLL_INTERVAL,
    "SHUTDOWN_TIMEOUT": schedule.SHUTDOWN_TIMEOUT,
    "MAX_RETRIES": schedule.MAX_RETRIES,
    "MAX_CRASHES": schedule.MAX_CRASHES,
    "RETRY_DELAY": 0.2,
}
SILENCED_SYSTEM_CHECKS = ["leek.W001"]  # SQLite as a newcomer has it is meant
