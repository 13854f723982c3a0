"""What an idle server costs, and how soon one is at work."""

import os
import random
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

from django.db import transaction
from django.utils import timezone

from leek.api import push_many, push_task_to_queue, using
from leek.bench.measures import percentiles
from leek.models import QueuedTasks, SuccessTasks
from tests.benchmarks.site import measures_at, running_server
from tests.benchmarks.sizes import Sizes
from tests.faults.footprint import footprint
from tests.site.tasks import noop
from tests.support import LeekServer, free_port, wait_until

TICKS = os.sysconf("SC_CLK_TCK")
SETTLING = 2.0  # seconds after which a server is idle
NAP, NAPPERS, RUN_BEFORE = 0.02, 200, 20  # tasks that a server is killed in the midst of
REPEATS = 3


def idle(sizes: Sizes) -> dict[str, float]:
    """Return statements, processor time and memory of a server that has nothing more to do."""
    with tempfile.NamedTemporaryFile() as file:
        count = Path(file.name)
        settings = "tests.benchmarks.counted_settings"
        with running_server(DJANGO_SETTINGS_MODULE=settings, TESTS_STATEMENTS=file.name) as server:
            measures_at(server, 100).in_bulk()
            time.sleep(SETTLING)
            before, counted = footprint(server.process.pid), count.stat().st_size
            began = time.monotonic()
            time.sleep(sizes.idle_seconds)
            seconds = time.monotonic() - began
            after, counted = footprint(server.process.pid), count.stat().st_size - counted
    return {
        "statements": counted / seconds,
        "cpu": 100 * (after.ticks - before.ticks) / TICKS / seconds,
        "memory": after.memory / 1024,
    }


def start(sizes: Sizes) -> dict[str, float]:
    """Return the seconds from the launch of a server to the start of a task that waits for it."""
    times = [_time_to_start(free_port(), push_task_to_queue(noop).pk) for _ in range(sizes.starts)]
    return {"start": median(times)}


def due(sizes: Sizes) -> dict[str, float]:
    """Return how long after its due time a deferred task starts, in milliseconds."""
    chance = random.Random(0)
    with running_server() as server:
        begin = timezone.now() + timedelta(seconds=SETTLING)
        with transaction.atomic():
            for _ in range(sizes.delayed):
                delay = timedelta(seconds=chance.uniform(0, sizes.delayed_seconds))
                using(run_after=begin + delay).push(noop)
        time.sleep(SETTLING + sizes.delayed_seconds)  # who looks keeps SQLite waiting
        measures_at(server, sizes.delayed).await_handled(sizes.delayed)
        wait_until(lambda: SuccessTasks.objects.count() == sizes.delayed, "the outcomes")
    times = SuccessTasks.objects.values_list("started_at", "task__run_after")
    waits = [(started - due_at).total_seconds() * 1000 for started, due_at in times]
    assert min(waits) >= 0, "a task has started early"
    middle, late = percentiles(waits)
    return {"due_p50": middle, "due_p99": late}


def recovery(sizes: Sizes) -> dict[str, float]:
    """Return the seconds from the launch of a killed server's successor to the first replay."""
    return {"recovery": median(_time_to_replay() for _ in range(REPEATS))}


def _time_to_start(port: int, *ids: int) -> float:
    """Return the seconds from the launch of a server to the start of the first of these tasks."""
    launched = timezone.now()
    with running_server(port=port):
        first = wait_until(lambda: _first_start(ids, launched), "a task")
    return (first - launched).total_seconds()


def _first_start(ids: tuple[int, ...], since: datetime) -> datetime | None:
    rows = SuccessTasks.objects.filter(pk__in=ids, started_at__gte=since)
    return rows.order_by("started_at").values_list("started_at", flat=True).first()


def _time_to_replay() -> float:
    before = SuccessTasks.objects.count()
    with running_server() as server:
        push_many([(time.sleep, (NAP,), {})] * NAPPERS)
        wait_until(lambda: SuccessTasks.objects.count() > before + RUN_BEFORE, "some tasks")
        _kill(server)
    claimed = QueuedTasks.objects.running().values_list("pk", flat=True)
    seconds = _time_to_start(server.port, *claimed)
    QueuedTasks.objects.all().delete()
    return seconds


def _kill(server: LeekServer) -> None:
    server.process.kill()
    server.process.wait()
