"""The task for Celery, with its app, as `First steps with Django` has it."""

from celery import Celery

from tests.benchmarks.peers.tasks.notes import note

app = Celery("peers")
app.config_from_object("django.conf:settings", namespace="CELERY")


@app.task
def noop() -> None:
    """Do nothing but note the start."""
    note()
