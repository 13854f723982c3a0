"""The task as a plain function, for leek, Django Q2 and RQ."""

from tests.benchmarks.peers.tasks.notes import note


def noop() -> None:
    """Do nothing but note the start."""
    note()
