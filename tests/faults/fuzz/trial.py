"""Fuzzes a running server, pushes meanwhile, and judges what was seen."""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from statistics import quantiles

from leek.api import push_task_to_queue
from leek.server.conversation import MOST_SLOW
from tests.faults.footprint import Footprint, footprint
from tests.site.tasks import noop
from tests.support import GIVE_UP_AFTER, ROOT, LeekServer, environment, wait_until

PAUSE = 0.15  # seconds between pushes
# SQLite keeps the files of a connection that is closed, for the next one to use, as long as another
# connection holds a lock; a log that is written ahead is another file of each.
MOST_FILES = 2 * MOST_SLOW
MOST_GROWTH = 8 * 1024  # KiB of resident memory, from the first input to the last


@dataclass(frozen=True)
class Verdict:
    """What was seen; latencies are in milliseconds from a push to the start of its task."""

    inputs: int
    seconds: float
    before: list[float]
    meanwhile: list[float]
    footprints: list[Footprint]
    problems: list[str]

    def __str__(self) -> str:
        """Return the figures as lines."""
        begin, middle, end = (self.footprints[i] for i in (0, len(self.footprints) // 2, -1))
        lines = [
            f"Inputs: {self.inputs:,} in {self.seconds:.0f} s, {self.inputs / self.seconds:,.0f}/s",
            f"Push -> start before:    {latency(self.before)}",
            f"Push -> start meanwhile: {latency(self.meanwhile)}",
            *(
                f"{when}: {seen.memory:,} KiB resident, {seen.threads} threads, {seen.files} files"
                for when, seen in (("Begin", begin), ("Middle", middle), ("End", end))
            ),
            *self.problems,
        ]
        return "\n".join([*lines, "FAILED" if self.problems else "No error in the server's log"])


def latency(times: list[float]) -> str:
    """Return the median and the 99th percentile as text."""
    cuts = quantiles(times, n=100)
    return f"p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms of {len(times)}"


def fuzz(server: LeekServer, inputs: int, seed: int, *, pushes: int) -> Verdict:
    """Send a server so many inputs, beginning after `pushes` for comparison."""
    before = latencies(pushes, lambda: False)
    process = server.process.pid
    footprints = [footprint(process)]
    began = time.monotonic()
    sender = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.fuzz.sender", *map(str, (server.port, inputs, seed))],
        env=environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )

    def is_over() -> bool:
        if not server.ended:
            footprints.append(footprint(process))
        return sender.poll() is not None

    meanwhile = latencies(sys.maxsize, is_over)
    seconds = time.monotonic() - began
    sent, _ = sender.communicate()
    problems = [f"In the log: {line}" for line in server.errors]
    if server.ended:
        problems.append("The server has ended")
    else:
        problems += what_is_left(server, footprints)
    if sender.returncode:
        problems.append("The sender has failed")
    return Verdict(int(sent or 0), seconds, before, meanwhile, footprints, problems)


def latencies(most: int, is_over: Callable[[], bool]) -> list[float]:
    """Push every now and then until it is over, and return how long each task took to start."""
    times: list[float] = []
    while len(times) < most and (not is_over() or len(times) < 2):
        row = push_task_to_queue(noop)
        row.wait(GIVE_UP_AFTER)
        times.append((row.success.started_at - row.pushed_at).total_seconds() * 1000)
        pause_ends = time.monotonic() + PAUSE
        wait_until(lambda ends=pause_ends: time.monotonic() > ends)  # type: ignore[misc]
    return times


def what_is_left(server: LeekServer, footprints: list[Footprint]) -> list[str]:
    """Return what the server still holds after the last input that it did not hold before."""
    begin = footprints[0]

    def is_as_before() -> bool:
        footprints.append(footprint(server.process.pid))
        return not _is_left(begin, footprints[-1])

    with suppress(AssertionError):
        wait_until(is_as_before)
    end = footprints[-1]
    problems = []
    if _is_left(begin, end):
        problems.append("Threads or files are left")
    if end.memory > begin.memory + MOST_GROWTH:
        problems.append(f"Memory has grown by more than {MOST_GROWTH:,} KiB")
    return problems


def _is_left(begin: Footprint, end: Footprint) -> bool:
    return end.threads > begin.threads or end.files > begin.files + MOST_FILES
