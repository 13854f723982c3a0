"""Settings of the tests' site as browsers visit it: with its styles, and strict as to what runs."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, MIDDLEWARE

ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.staticfiles"]
MIDDLEWARE = [
    "tests.browser.site.allow_only_own_files",
    "tests.browser.site.forget_content_types",
    *MIDDLEWARE,
    "django.middleware.csrf.CsrfViewMiddleware",
]
STATIC_URL = "/static/"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django.request": {"handlers": ["console"], "level": "ERROR"}},
}
