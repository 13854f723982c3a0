"""The task for Oban."""

from oban import worker
from oban.job import Job

from tests.benchmarks.peers.tasks.notes import note


@worker(queue="default")
class Noop:
    """A worker in Oban's sense."""

    async def process(self, job: Job) -> None:
        """Do nothing but note the start."""
        note()
