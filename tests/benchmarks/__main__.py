"""Latency and throughput of leek on the database of DATABASE_URL, beside bare ORM inserts.

    python -m tests.benchmarks [--pushes 200] [--tasks 20000]

The database is the tests' own, made anew and destroyed at the end. All figures come from one run,
so that their ratios mean something on any machine.
"""

import argparse
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import quantiles

import django

from tests.support import environment, free_port, wait_until


def main() -> None:
    """Parse, set the site up, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pushes", type=int, default=200, help="pushes to an idle server")
    parser.add_argument("--tasks", type=int, default=20_000, help="no-ops to drain")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    os.environ["LEEK_TASKS_PORT"] = str(free_port())
    django.setup()
    logging.getLogger("leek").setLevel(logging.ERROR)  # one figure is of pushes without a server
    with test_database():
        measure(options.pushes, options.tasks)


@contextmanager
def test_database() -> Iterator[None]:
    """Make the test database, and destroy it at the end."""
    from django.db import connection

    name = str(connection.settings_dict["NAME"])
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


@contextmanager
def running_server() -> Iterator[None]:
    """Run a leek_server while the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "leek_server", "-v0"],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert "ready" in process.stdout.readline()
        yield
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def measure(pushes: int, tasks: int) -> None:
    """Print a table of all figures."""
    from django.db import connection

    print(f"Python {sys.version.split()[0]}, Django {django.__version__}, {connection.vendor}")
    create = rate(pushes, create_bare_row)

    def show(what: str, per_second: float) -> None:
        print(f"{what:<28}{per_second:10.0f}/s {per_second / create:8.2f} of create()")

    show("bare ORM create()", create)
    with running_server():
        show("push with a server", rate(pushes, push_noop))
        wait_until(lambda: unfinished() == 0, "the pushed tasks")
        p50, p99 = latencies(pushes)
    print(f"push -> start, idle server  {p50:10.2f} ms p50 {p99:8.2f} ms p99 of {pushes}")
    clear()
    show("push without a server", rate(pushes, push_noop))
    clear()
    stored, drained = drain(tasks)
    show(f"push_many of {tasks}", stored)
    show(f"drain of {tasks} no-ops", drained)


def rate(times: int, action: Callable[[], object]) -> float:
    """Return how often a second an action can be done."""
    action()
    began = time.perf_counter()
    for _ in range(times):
        action()
    return times / (time.perf_counter() - began)


def create_bare_row() -> None:
    """Insert a row like a pushed one, finished so that no server takes it."""
    from django.utils import timezone

    from leek.models import QueuedTasks, State

    now = timezone.now()
    QueuedTasks.objects.create(
        name="tests.site.tasks.noop",
        payload="x" * 110,
        state=State.SUCCESSFUL,
        run_after=now,
        pushed_at=now,
    )


def push_noop() -> None:
    """Push a task that does nothing."""
    from leek.api import push_task_to_queue
    from tests.site.tasks import noop

    push_task_to_queue(noop)


def latencies(pushes: int) -> tuple[float, float]:
    """Return the median and the 99th percentile of push -> start, in milliseconds."""
    from leek.api import push_task_to_queue
    from leek.models import SuccessTasks
    from tests.site.tasks import noop

    pushed = {}
    for _ in range(pushes):
        row = push_task_to_queue(noop)
        pushed[row.pk] = row.pushed_at
        wait_until(lambda: unfinished() == 0, "a pushed task")
    started = SuccessTasks.objects.filter(pk__in=pushed).values_list("pk", "started_at")
    times = [(at - pushed[task_id]).total_seconds() * 1000 for task_id, at in started]
    cuts = quantiles(times, n=100)
    return cuts[49], cuts[98]


def drain(tasks: int) -> tuple[float, float]:
    """Return how many tasks a second push_many stores, and a server runs and records."""
    from leek.api import push_many
    from leek.models import SuccessTasks
    from tests.site.tasks import noop

    began = time.perf_counter()
    push_many([(noop, (), {})] * tasks)
    stored = time.perf_counter() - began
    with running_server():
        began = time.perf_counter()
        before = SuccessTasks.objects.count()
        wait_until(lambda: unfinished() == 0, "the drain")
        return tasks / stored, (tasks - before) / (time.perf_counter() - began)


def unfinished() -> int:
    """Return the number of tasks that are ready or running."""
    from leek.models import QueuedTasks, State

    return QueuedTasks.objects.filter(state__in=(State.READY, State.RUNNING)).count()


def clear() -> None:
    """Delete all tasks."""
    from leek.models import QueuedTasks

    QueuedTasks.objects.all().delete()


if __name__ == "__main__":
    main()
