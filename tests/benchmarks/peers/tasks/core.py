"""The task for backends of django.tasks."""

from django.tasks import task

from tests.benchmarks.peers.tasks.notes import note


@task
def noop() -> None:
    """Do nothing but note the start."""
    note()
