"""What is asked of the simulation: the same as was measured, and what no machine here can do."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tests.benchmarks.simulation.costs import Costs
from tests.benchmarks.simulation.fleet import simulate
from tests.benchmarks.simulation.plan import Found, Plan
from tests.benchmarks.simulation.server import ServerOptions, Work

WORKS = {  # of a task, and how many a second keep a server busy
    "wait_20": (Work(waiting=0.02), 50),
    "wait_1": (Work(waiting=0.001), 700),
    "compute_20": (Work(computing=0.02), 50),
    "compute_1": (Work(computing=0.001), 900),
    "noop": (Work(), 10_000),
}
MEASURED = (1, 2, 4)  # servers
NUMBERS = (1, 2, 4, 10, 25, 50, 100)
SECONDS = 2  # of work for each server
MOST = 60_000  # tasks in a drain
PATIENCE = 600.0
FLEET = 100
Row = list[str]


def validation(costs: Costs, figures: Mapping[str, float]) -> Iterator[Row]:
    """Hold the rates of a few servers on one machine against those that were measured."""
    yield ["Tasks", "Servers", "measured /s", "simulated /s", "simulated / measured"]
    for name in WORKS:
        for number in MEASURED:
            simulated = drain(costs, name, number, one_host=True).throughput
            measured = _measured(figures, name, number)
            ratio = f"{simulated / measured:.2f}"
            yield [name, str(number), f"{measured:,.0f}", f"{simulated:,.0f}", ratio]


def _measured(figures: Mapping[str, float], name: str, number: int) -> float:
    """Return a rate; of tasks that compute it is known as a share of what the machine can do."""
    one = figures[f"fleet_{name}_1"]
    if number == 1:
        return one
    ideal = min(number, MEASURED[1]) if name.startswith("compute") else number
    return one * ideal * figures[f"fleet_{name}_{number}"]


def drain(costs: Costs, name: str, servers: int, *, one_host: bool = False) -> Found:
    """Return what comes of a backlog that keeps all servers busy for a while."""
    work, rate = WORKS[name]
    burst = min(rate * SECONDS * servers, MOST)
    return simulate(Plan(costs, servers, work, burst=burst, seconds=PATIENCE, one_host=one_host))


def growth(costs: Costs) -> Iterator[Row]:
    """Tell what more and more servers do, each on a host of its own."""
    yield ["Tasks", "Servers", "/s", "beside linear", "processors", "log", "commits a task"]
    for name in ("wait_20", "wait_1", "noop"):
        one = drain(costs, name, 1).throughput
        for number in NUMBERS:
            found = drain(costs, name, number)
            yield [
                name,
                str(number),
                f"{found.throughput:,.0f}",
                f"{found.throughput / one / number:.2f}",
                *_shares(found),
                f"{found.commits:.2f}",
            ]


def moves(costs: Costs) -> Iterator[Row]:
    """Tell what moves the bound of a hundred servers: tasks that are pushed one by one, as fast."""
    yield ["A hundred servers", "/s", "wait p50, ms", "p99", "processors", "log"]
    plan = Plan(costs, FLEET, WORKS["wait_20"][0], seconds=3.0)
    half = costs.times(2.0)
    for title, changed in {
        "idle": plan,
        "1,000 pushed a second": replace(plan, rate=1000.0),
        "2,000": replace(plan, rate=2000.0),
        "4,000": replace(plan, rate=4000.0),
        "4,000, in 10 groups by queue": replace(plan, rate=4000.0, groups=10),
        "4,000, 10 servers with 10 Workers": replace(
            plan, rate=4000.0, servers=10, options=ServerOptions(workers=10)
        ),
        "2,000, where the site needs half of the database": replace(plan, costs=half, rate=2000.0),
        "4,000, the same": replace(plan, costs=half, rate=4000.0),
        "4,000, 8 processors for the database": replace(plan, rate=4000.0, processors=8),
    }.items():
        found = simulate(changed)
        waits = [f"{1000 * found.wait_p50:,.0f}", f"{1000 * found.wait_p99:,.0f}"]
        yield [title, f"{found.throughput:,.0f}", *waits, *_shares(found)]


def deaths(costs: Costs) -> Iterator[Row]:
    """Tell when the tasks run again of five servers of a hundred that die at once."""
    yield ["Deaths", "tasks that run again", "first after, s", "last after, s", "lost"]
    options = ServerOptions(workers=4)
    plan = Plan(costs, FLEET, Work(waiting=1.0), options, rate=300.0, seconds=100.0, killed=5)
    found = simulate(plan)
    again = sorted(found.again_after)
    times = [f"{again[0]:.1f}", f"{again[-1]:.1f}"] if again else ["", ""]
    yield [
        "5 of 100",
        str(len(again)),
        *times,
        str(found.pushed - found.pushing - found.stored - found.waiting - found.claimed),
    ]


def _shares(found: Found) -> list[str]:
    shares = ", ".join(
        f"{what} {100 * share:.1f}" for what, share in found.used.items() if share >= 0.0005
    )
    return [f"{100 * sum(found.used.values()):.0f} % ({shares})", f"{100 * found.log:.0f} %"]
