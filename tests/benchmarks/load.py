"""How a server fares under load."""

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from django.db import connection
from django.utils import timezone

from leek.api import push_many, push_task_to_queue
from leek.bench.measures import percentiles
from leek.models import SuccessTasks
from tests.benchmarks.site import await_all, measures_at, running_server
from tests.benchmarks.sizes import Sizes
from tests.faults.footprint import footprint
from tests.many_rows import add_finished
from tests.site.tasks import noop
from tests.support import ROOT, environment

NAP, WORKERS = 0.05, 16
WARM_UP = 10_000  # tasks after which memory should not grow any more
PAUSE = 0.02  # seconds between two pushes during a purge


def sleepers(sizes: Sizes) -> dict[str, float]:
    """Return the time that sleeping tasks take, as a multiple of the shortest possible."""
    with running_server("--workers", str(WORKERS)):
        push_many([(time.sleep, (NAP,), {})] * 2 * WORKERS)
        await_all()
        push_many([(time.sleep, (NAP,), {})] * sizes.sleepers)
        pushed = timezone.now()
        await_all()
    last = SuccessTasks.objects.order_by("finished_at").values_list("finished_at", flat=True).last()
    assert last is not None
    return {"sleepers": (last - pushed).total_seconds() / (sizes.sleepers * NAP / WORKERS)}


def growth(sizes: Sizes) -> dict[str, float]:
    """Return by how many megabytes a server grows from its first tasks to its last."""
    with running_server() as server:
        measures = measures_at(server, WARM_UP)
        memory = []
        for _ in range(1 + max(sizes.many // WARM_UP, 1)):
            measures.push_many()
            measures.await_rest()
            memory.append(footprint(server.process.pid).memory)
    return {"growth": (memory[-1] - memory[0]) / 1024}


def steady(sizes: Sizes) -> dict[str, float]:
    """Return how soon tasks start that are pushed at a steady rate, and the rate reached."""
    with running_server():
        began = time.monotonic()
        with ThreadPoolExecutor(sizes.pushers) as pushers:
            for pusher in [pushers.submit(_push_steadily, sizes) for _ in range(sizes.pushers)]:
                pusher.result()
        seconds = time.monotonic() - began
        await_all()
    times = SuccessTasks.objects.values_list("started_at", "task__pushed_at")
    waits = [(started - pushed).total_seconds() * 1000 for started, pushed in times]
    return {"steady_p99": percentiles(waits)[1], "steady_rate": len(waits) / seconds}


def _push_steadily(sizes: Sizes) -> None:
    due, pause = time.monotonic(), sizes.pushers / sizes.rate
    end = due + sizes.steady_seconds
    try:
        while due < end:
            time.sleep(max(due - time.monotonic(), 0))
            push_task_to_queue(noop)
            due += pause
    finally:
        connection.close()


def purge(sizes: Sizes) -> dict[str, float]:
    """Return what leek_purge holds, and how long a pushed task waits meanwhile at the longest."""
    add_finished(sizes.purged)
    pushed: dict[int, datetime] = {}
    with running_server():
        push_task_to_queue(noop).wait(60)
        command = [sys.executable, "-m", "django", "leek_purge", "--older-than", "0s", "-v0"]
        purging = subprocess.Popen(command, env=environment(), cwd=ROOT)
        memory = 0
        while purging.poll() is None:
            row = push_task_to_queue(noop)
            pushed[row.pk] = timezone.now()
            time.sleep(PAUSE)
            memory = max(memory, _peak_memory(purging.pid))
        assert purging.returncode == 0, purging.returncode
        await_all()
    return {"purge_memory": memory / 1024, "purge_wait": _longest_wait(pushed)}


def _peak_memory(process: int) -> int:
    """Return how much a process has held at most, in KiB; 0 when it has ended."""
    with suppress(OSError):
        if found := re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{process}/status").read_text()):
            return int(found[1])
    return 0


def _longest_wait(pushed: dict[int, datetime]) -> float:
    """Return the milliseconds between the end of a push and its start; some are purged already."""
    starts = SuccessTasks.objects.filter(pk__gte=min(pushed)).values_list("pk", "started_at")
    waits = [(started - pushed[task_id]).total_seconds() * 1000 for task_id, started in starts]
    return max([0.0, *waits])
