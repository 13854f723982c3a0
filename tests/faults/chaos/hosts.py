"""A run on several hosts: where its parts are, and what may be the matter between them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.faults.chaos.schedule import SLOTS
from tests.faults.hosts.host import Host
from tests.faults.hosts.links import Trouble
from tests.faults.hosts.network import Network

PORT = 8002  # of the first server on each host


@dataclass(frozen=True)
class Hosts:
    """One for each slot, one for all pushers, one for the database, one that watches over all."""

    network: Network
    servers: list[Host]
    pushers: Host
    database: Host
    desk: Host

    def begin(self, kind: str, slot: int) -> Trouble:
        """Begin a fault of the links of the server in a slot."""
        own = self.servers[slot]
        siblings = [host for host in self.servers if host is not own]
        others = [*siblings, self.pushers, self.database]
        cut = self.network.cut
        begin: dict[str, Callable[[], Trouble]] = {
            "no database": lambda: cut(own, self.database),
            "no pushers": lambda: cut(own, self.pushers),
            "no siblings": lambda: cut(own, siblings),
            "alone": lambda: cut(own, others),
            "mute": lambda: cut(own, others, one_way=True),
            "deaf": lambda: cut(others, own, one_way=True),
            "refused": lambda: self.network.refuse(own, others),
            "slow link": lambda: self.network.slow_down(own, others),
        }
        return begin[kind]()


@contextmanager
def some_hosts() -> Iterator[Hosts]:
    """Have the hosts of a run, with this thread at the desk, until the block ends."""
    with Network() as network:
        hosts = Hosts(
            network,
            [network.add(f"server{slot}") for slot in range(SLOTS)],
            pushers=network.add("pushers"),
            database=network.add("database"),
            desk=network.add("desk"),
        )
        with hosts.desk.entered():
            yield hosts
