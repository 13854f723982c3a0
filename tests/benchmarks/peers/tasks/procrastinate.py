"""The task for procrastinate, which runs coroutines in its loop and plain functions in threads."""

from procrastinate.contrib.django import app

from tests.benchmarks.peers.tasks.notes import note


@app.task
def noop() -> None:
    """Do nothing but note the start."""
    note()


@app.task
async def anoop() -> None:
    """Do the same in the loop."""
    note()
