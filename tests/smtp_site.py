"""Settings of a site that sends its mails to a mail server of the test."""

from typing import Any

import django

from tests.settings import *  # noqa: F403
from tests.settings import env

SMTP: dict[str, Any] = {"host": "127.0.0.1", "port": env.int("TESTS_SMTP_PORT")}
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"OPTIONS": SMTP}}
else:
    EMAIL_HOST = SMTP["host"]
    EMAIL_PORT = SMTP["port"]
