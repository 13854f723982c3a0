"""The smallest settings that show leek; the environment says what differs between machines."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import django
import environ

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

SECRET_KEY = env("SECRET_KEY", default="good enough for a demo on this machine, and nowhere else")
DEBUG = env.bool("DEBUG", default=True)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])

TIME_ZONE = env("TIME_ZONE", default="UTC")

ROOT_URLCONF = "testproject.urls"
WSGI_APPLICATION = "testproject.wsgi.application"
STATIC_URL = "static/"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "leek",
    "demo",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
            ],
        },
    },
]

database: dict[str, Any] = env.db(
    "DATABASE_URL", default="sqlite:///" + quote((BASE_DIR / "db.sqlite3").as_posix())
)
if database["ENGINE"] == "django.db.backends.sqlite3":
    database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        "timeout": 20,
    }
DATABASES = {"default": database}

# The port is left to the environment (LEEK_TASKS_PORT), so that `manage.py demo` can choose it.
TASKS_QUEUE = {"MAX_RETRIES": 3, "RETRY_DELAY": 1, "WORKERS": 4}

DEFAULT_FROM_EMAIL = "demo@example.com"
smtp = {"host": env("EMAIL_HOST", default="localhost"), "port": env.int("EMAIL_PORT", default=8025)}
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"OPTIONS": smtp}}
else:
    EMAIL_HOST = smtp["host"]
    EMAIL_PORT = smtp["port"]

# The page asks for the tasks' states all the time: only what goes wrong is worth a line.
LOGGING = {
    "version": 1,
    "incremental": True,
    "loggers": {"django.server": {"level": "WARNING"}},
}
