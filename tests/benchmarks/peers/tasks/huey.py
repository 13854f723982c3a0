"""The task for huey."""

from huey.contrib.djhuey import task

from tests.benchmarks.peers.tasks.notes import note


@task()
def noop() -> None:
    """Do nothing but note the start."""
    note()
