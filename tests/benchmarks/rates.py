"""How many tasks are pushed and drained, and how soon one starts."""

from leek.bench import session
from leek.bench.figures import Plan
from leek.bench.report import as_dict
from tests.benchmarks.site import clear, measures_at, running_server
from tests.benchmarks.sizes import Sizes
from tests.many_rows import add_deferred, add_finished

REPORTED = (
    "push_per_create",
    "push_at_work_per_create",
    "push_many",
    "drain",
    "latency_p50",
    "latency_p99",
)


def rates(sizes: Sizes) -> dict[str, float]:
    """Return what leek_bench measures."""
    figures = as_dict(session.measure(Plan(sizes.tasks, sizes.pushes)))
    return {name: figures[name] for name in REPORTED}


def crowded(sizes: Sizes) -> dict[str, float]:
    """Return the rate of a drain beside many rows, as a share of the rate without."""
    empty = _drain(sizes.tasks)
    clear()
    add_finished(sizes.finished)
    add_deferred(sizes.deferred)
    return {"crowded": _drain(sizes.tasks) / empty}


def _drain(tasks: int) -> float:
    with running_server() as server:
        return measures_at(server, tasks).in_bulk()["drain"]
