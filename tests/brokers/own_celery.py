"""A Celery that a site has for tasks of its own, and that runs leek's as well."""

import django
from celery import Celery

django.setup()
app = Celery("site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
