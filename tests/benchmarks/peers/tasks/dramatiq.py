"""The task for dramatiq, with the broker that it belongs to."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from tests.benchmarks.peers.peer import Place
from tests.benchmarks.peers.tasks.notes import note

broker = RedisBroker(url=Place.of_this_process().url)
dramatiq.set_broker(broker)


@dramatiq.actor
def noop() -> None:
    """Do nothing but note the start."""
    note()
