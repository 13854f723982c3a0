"""What the machine itself does: the targets were set on another one."""

import os
import tempfile
import time
from collections.abc import Callable
from statistics import median

from leek.bench.measures import IDLE, percentiles
from tests.benchmarks.sizes import Sizes
from tests.site.models import Runs

BLOCKS, TIMES = 5, 50
RESTS = 200
TURNS = 1_000_000


def calibrate(sizes: Sizes) -> dict[str, float]:
    """Return commits and fsyncs a second, and how long a fixed loop of Python takes.

    A commit after a rest takes longer than one after another: so does what an idle server is asked.
    """
    row = Runs.objects.create(tag="calibration", process=0)

    def commit() -> None:
        row.process += 1
        Runs.objects.filter(pk=row.pk).update(process=row.process)

    with tempfile.NamedTemporaryFile() as file:

        def fsync() -> None:
            os.pwrite(file.fileno(), os.urandom(4096), 0)
            os.fsync(file.fileno())

        figures = {"commit": rate(commit), "fsync": rate(fsync), "loop": loop()}
    p50, p99 = percentiles([after_a_rest(commit) for _ in range(RESTS)])
    return figures | {"rested_commit_p50": p50, "rested_commit_p99": p99}


def rate(action: Callable[[], object]) -> float:
    """Return how often a second something can be done."""
    action()
    rates = []
    for _ in range(BLOCKS):
        began = time.perf_counter()
        for _ in range(TIMES):
            action()
        rates.append(TIMES / (time.perf_counter() - began))
    return median(rates)


def after_a_rest(action: Callable[[], object]) -> float:
    """Return how many milliseconds something takes when nothing was done just before."""
    time.sleep(IDLE)
    began = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - began)


def loop() -> float:
    """Return how many milliseconds a fixed loop takes."""
    times = []
    for _ in range(BLOCKS):
        began = time.perf_counter()
        total = 0
        for number in range(TURNS):
            total += number & 7
        times.append(time.perf_counter() - began)
    return 1000 * median(times)
