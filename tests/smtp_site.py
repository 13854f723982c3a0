"""Settings of a site that sends its mails to a mail server of the test."""

from tests.settings import *  # noqa: F403
from tests.settings import env

EMAIL_HOST = "127.0.0.1"
EMAIL_PORT = env.int("TESTS_SMTP_PORT")
EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
