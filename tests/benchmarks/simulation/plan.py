"""What is simulated, and what comes of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.simulation.costs import Costs
from tests.benchmarks.simulation.server import ServerOptions, Work


@dataclass(frozen=True)
class Plan:
    """Servers at one database, and their tasks: `burst` at once, and others at a `rate`.

    `groups` are queues, each of which has servers of its own. With `one_host` all run where the
    database does; else each has a processor of its own, and the database has `processors`. `killed`
    servers die at once, in the middle of it.
    """

    costs: Costs
    servers: int = 1
    work: Work = field(default_factory=Work)
    options: ServerOptions = field(default_factory=ServerOptions)
    rate: float = 0.0
    burst: int = 0
    seconds: float = 10.0
    groups: int = 1
    processors: int = 2
    one_host: bool = False
    killed: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Found:
    """What came of it, from the first push on: times are in seconds.

    Rows that are `pushed` are stored, waiting, claimed, or still being pushed. `used` is the share
    of the database's processors by what they did, `log` that of its log, and `commits` how many
    there were for each task. `unfinished` is the mean number of tasks under way, `stay` how long
    each is. `again_after` is how long after the death of their server tasks ran again.
    """

    pushed: int
    pushing: int
    stored: int
    waiting: int
    claimed: int
    seconds: float
    throughput: float
    wait_p50: float
    wait_p99: float
    stay: float
    unfinished: float
    used: Mapping[str, float]
    log: float
    commits: float
    again_after: Sequence[float]
