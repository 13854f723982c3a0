"""One run of the benchmark, from its tables to its figures."""

import logging
import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import django
from django.db import connections

import leek
from leek.bench.figures import Figures, Plan
from leek.bench.measures import Measures, percentiles
from leek.bench.server import running_server
from leek.bench.tables import our_names, our_tables
from leek.conf import config
from leek.database import alone_at
from leek.exceptions import LeekError
from leek.models import queue_database
from leek.server.shutdown import on_stop_signals


class BenchError(LeekError):
    """There are no figures, and why."""


class Interrupted(BenchError):
    """There are no figures, because a signal asked to end."""


def measure(plan: Plan, on_progress: Callable[[int], None] = lambda _: None) -> Figures:
    """Measure, and leave the database as it was; `on_progress` is told of each few steps.

    Raise BenchError where that is not possible, Interrupted after a signal to stop. Meanwhile this
    process cannot use the site's own queue.
    """
    if config.EAGER:
        raise BenchError("EAGER is on: tasks are run where they are pushed, not by a server.")
    alias = queue_database()
    interruption = threading.Event()

    def tick(steps: int) -> None:
        if interruption.is_set():
            raise Interrupted("Interrupted. Nothing of the benchmark is left.")
        if steps:
            on_progress(steps)

    with ExitStack() as stack:
        stack.enter_context(on_stop_signals(interruption.set, -1))
        stack.enter_context(_alone(alias))
        stack.enter_context(_only_errors_are_logged())
        stack.enter_context(our_names())
        stack.enter_context(our_tables(alias))
        port = stack.enter_context(running_server(lambda: tick(0)))
        return _figures(alias, plan, Measures(alias, plan, port, tick))


def _figures(alias: str, plan: Plan, measures: Measures) -> Figures:
    rates = {**measures.while_at_work(), **measures.in_bulk()}
    p50, p99 = percentiles(measures.latencies())
    rates |= measures.alone()
    return Figures(
        versions=_versions(alias),
        tasks=plan.tasks,
        pushes=plan.pushes,
        **rates,
        latency_p50=p50,
        latency_p99=p99,
    )


def _versions(alias: str) -> str:
    connection = connections[alias]
    number = ".".join(map(str, connection.get_database_version()))
    return (
        f"leek {leek.__version__}, Django {django.get_version()},"
        f" Python {platform.python_version()}, {connection.display_name} {number}"
    )


@contextmanager
def _alone(alias: str) -> Iterator[None]:
    with alone_at(alias, "leek_bench") as is_alone:
        if not is_alone:
            raise BenchError("Another leek_bench runs in this database. Wait until it is done.")
        yield


@contextmanager
def _only_errors_are_logged() -> Iterator[None]:
    """Keep warnings out of the site's log that are about the benchmark's own server."""
    logger = logging.getLogger("leek")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
