"""Settings of the tests' site as browsers visit it: with its styles, and strict as to what runs."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, MIDDLEWARE

ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.staticfiles"]
MIDDLEWARE = [
    "tests.browser.site.allow_only_own_files",
    *MIDDLEWARE,
    "django.middleware.csrf.CsrfViewMiddleware",
]
STATIC_URL = "/static/"
