"""Settings of a site whose mails are pushed, and sent to a mail server of the test."""

import django

from tests.mailing import mailers
from tests.smtp_site import *  # noqa: F403
from tests.smtp_site import SMTP, env

if django.VERSION >= (6, 1):
    MAILERS = mailers(SMTP, using=env.str("TESTS_MAILER", default="smtp"))
else:
    EMAIL_BACKEND = "leek.mail.EmailBackend"
