"""How much more several servers do on one database than one does."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median

from django.db.models import Min
from django.utils import timezone

from leek.api import push_many
from leek.models import SuccessTasks
from tests.benchmarks.computing import bare_rate, compute
from tests.benchmarks.site import await_all, clear, running_server
from tests.benchmarks.sizes import Sizes

NUMBERS = (1, 2, 4)  # of servers, with one Worker each
WARM_UP = 20  # tasks for each server, after which it knows how long they take
PAUSE = 0.05  # seconds between two looks, which take a processor's time from the servers


@dataclass(frozen=True)
class Kind:
    """Tasks that are alike: each waits, or computes, for so many seconds.

    A server should run about so many a second.
    """

    name: str
    function: Callable[[float], None]
    seconds: float
    rate: int

    @property
    def computes(self) -> bool:
        """Whether the processor is kept busy for longer than leek itself needs."""
        return self.function is compute and self.seconds > 0

    def times(self, seconds: float) -> int:
        """Return how many tasks keep a server busy for so long."""
        return max(round(seconds * self.rate), 1)


KINDS = (
    Kind("wait_20", time.sleep, 0.02, 50),
    Kind("wait_1", time.sleep, 0.001, 1000),
    Kind("compute_20", compute, 0.02, 50),
    Kind("compute_1", compute, 0.001, 1000),
    Kind("noop", compute, 0.0, 2_500),
)


def fleet(sizes: Sizes) -> dict[str, float]:
    """Return the rate of one server, and of several as a share of so many times that.

    With tasks that compute it is a share of what bare processes do that share the same processors.
    """
    rounds = [_one_round(sizes.fleet_seconds) for _ in range(sizes.fleet_rounds)]
    return {name: median(found[name] for found in rounds) for name in rounds[0]}


def _one_round(seconds: float) -> dict[str, float]:
    rates: dict[tuple[str, int], float] = {}
    for number in NUMBERS:
        with several_servers(number):
            for kind in KINDS:
                rates[kind.name, number] = drain_rate(number, kind, seconds)
    return {f"fleet_{kind.name}_1": rates[kind.name, 1] for kind in KINDS} | {
        f"fleet_{kind.name}_{number}": rates[kind.name, number] / rates[kind.name, 1] / ideal
        for kind in KINDS
        for number, ideal in _ideals(kind, seconds).items()
    }


def _ideals(kind: Kind, seconds: float) -> dict[int, float]:
    """Return by how much several servers could be faster than one."""
    if not kind.computes:
        return {number: number for number in NUMBERS[1:]}
    rates = {number: bare_rate(number, kind.seconds, kind.times(seconds)) for number in NUMBERS}
    return {number: rates[number] / rates[1] for number in NUMBERS[1:]}


@contextmanager
def several_servers(number: int, *arguments: str) -> Iterator[None]:
    """Run so many servers on the database; the pushes of this process are hinted to the last."""
    clear()
    with ExitStack() as stack:
        for _ in range(number):
            stack.enter_context(running_server(*arguments))
        yield


def drain_rate(servers: int, kind: Kind, seconds: float) -> float:
    """Return how many tasks a second are run, from the first start to the last stored outcome."""
    _drain(servers * WARM_UP, kind)
    return _drain(servers * kind.times(seconds), kind)


def _drain(tasks: int, kind: Kind) -> float:
    rows = push_many([(kind.function, (kind.seconds,), {})] * tasks)
    await_all(pause=PAUSE)
    ended = timezone.now()
    started = SuccessTasks.objects.filter(pk__gte=rows[0].pk).aggregate(first=Min("started_at"))
    return tasks / float((ended - started["first"]).total_seconds())
