"""How many tasks are pushed and drained, and how soon one starts."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

from leek import client
from leek.api import push_task_to_queue
from leek.bench import session
from leek.bench.figures import Plan
from leek.bench.report import as_dict
from leek.bench.serving import HOST
from tests.benchmarks.site import clear, measures_at, running_server
from tests.benchmarks.sizes import Sizes
from tests.many_rows import add_deferred, add_finished
from tests.site import django_tasks, tasks

TURNS = 50  # that things take which are held against each other

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


def enqueue(sizes: Sizes) -> dict[str, float]:
    """Return how long it takes to enqueue a task of Django's framework, beside a push.

    They take turns at a server whose Worker is off, in the same process.
    """
    with running_server() as server:
        client.command("stop-worker", host=HOST, port=server.port)
        seconds = in_turns(
            [partial(push_task_to_queue, tasks.noop), django_tasks.noop.enqueue], sizes
        )
    pushed, enqueued = map(median, seconds)
    return {"enqueue_per_push": enqueued / pushed}


def in_turns(actions: Sequence[Callable[[], object]], sizes: Sizes) -> list[list[float]]:
    """Return for each action how long blocks of it took."""
    seconds: list[list[float]] = [[] for _ in actions]
    for action in actions:
        action()  # for what is done only once
    for _ in range(TURNS):
        for found, action in zip(seconds, actions, strict=True):
            began = time.perf_counter()
            for _ in range(max(sizes.pushes // TURNS, 1)):
                action()
            found.append(time.perf_counter() - began)
    return seconds


def _drain(tasks: int) -> float:
    with running_server() as server:
        return measures_at(server, tasks).in_bulk()["drain"]
