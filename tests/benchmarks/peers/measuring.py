"""Measures one peer in a process of its own: python -m tests.benchmarks.peers.measuring LIMITS."""

import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

import django

from tests.benchmarks.peers.bare import Bare
from tests.benchmarks.peers.catalogue import peer_of_this_process
from tests.benchmarks.peers.figures import Figures, Limits
from tests.benchmarks.peers.peer import Peer
from tests.benchmarks.peers.tasks.notes import Notes
from tests.benchmarks.peers.worker import Failed, Worker

START_WITHIN = 15.0
BULK = 1_000  # tasks in one call


def main() -> None:
    """Set the site up, measure, and leave the figures or the reason why there are none."""
    limits = Limits(**json.loads(sys.argv[1]))
    peer = peer_of_this_process()
    figures = Figures()
    try:
        django.setup()
        peer.prepare()
        if isinstance(peer, Bare):
            figures = peer.measure(limits)
        else:
            figures = Measurement(peer, limits).run()
    except Failed as reason:
        figures.failed = str(reason)
    except Exception as error:
        figures.failed = f"{type(error).__name__}: {error}"
    figures.write(Path(peer.place.directory) / "figures.json")


class Measurement:
    """The figures of one peer: first of an idle worker, then of a busy one."""

    def __init__(self, peer: Peer, limits: Limits) -> None:
        self._peer = peer
        self._limits = limits
        self._notes = Notes(peer.place.notes)
        self._errors: Counter[str] = Counter()

    def run(self) -> Figures:
        """Measure everything."""
        figures = Figures()
        with Worker(self._peer) as worker:
            self._warm_up(worker)
            figures.latencies = self._latencies(worker)
            figures.rates["push"] = self._push_rate()
            worker.wait(self._is_done, self._limits.seconds, 0.05)
        bulk = self._store()
        if self._peer.bulk:
            figures.rates["bulk"] = bulk
        total = self._peer.unfinished()
        with Worker(self._peer) as worker:
            figures.rates["drain"] = self._drain(worker, total)
        figures.remarks = [f"{times} pushes failed: {why}" for why, times in self._errors.items()]
        return figures

    def _is_done(self) -> bool:
        return self._peer.unfinished() == 0

    def _push(self) -> bool:
        try:
            self._peer.push()
        except Exception as error:
            self._errors[f"{type(error).__name__}: {error}"] += 1
            return False
        return True

    def _warm_up(self, worker: Worker) -> None:
        """Push until tasks start at once: three times, as each may be in another process."""
        for _ in range(3):
            before = self._notes.count()
            if not self._push():
                raise Failed(f"cannot push: {next(iter(self._errors))}")
            if not worker.wait(lambda: self._notes.count() > before, START_WITHIN):  # noqa: B023
                raise Failed(f"no task started within {START_WITHIN:.0f} s")

    def _latencies(self, worker: Worker) -> list[float]:
        """Return milliseconds from push to start; pauses meet a poller at any of its moments."""
        found: list[float] = []
        deadline = time.monotonic() + 2 * self._limits.seconds
        while len(found) < self._limits.pushes and time.monotonic() < deadline:
            time.sleep(random.uniform(0.01, 0.03) + random.uniform(0, self._peer.poll))
            number = self._notes.count()
            began = time.time()
            if self._push():
                self._wait_for_start(worker, number)
                found.append((self._notes.start(number) - began) * 1000)
        return found

    def _wait_for_start(self, worker: Worker, number: int) -> None:
        if not worker.wait(lambda: self._notes.count() > number, START_WITHIN, 0.0005):
            raise Failed(f"a task did not start within {START_WITHIN:.0f} s")

    def _push_rate(self) -> float:
        """Return pushes a second, one by one, while the worker runs them."""
        return self._pushed_until(self._limits.seconds / 3)

    def _pushed_until(self, seconds: float) -> float:
        began = time.perf_counter()
        pushed = tried = 0
        while tried < self._limits.tasks and time.perf_counter() - began < seconds:
            pushed += self._push()
            tried += 1
        return pushed / (time.perf_counter() - began)

    def _store(self) -> float:
        """Push what is to be drained while no worker runs; return tasks a second."""
        if not self._peer.bulk:
            return self._pushed_until(self._limits.seconds)
        began = time.perf_counter()
        stored = 0
        while stored < self._limits.tasks and time.perf_counter() - began < self._limits.seconds:
            size = min(BULK, self._limits.tasks - stored)
            self._peer.push_many(size)
            stored += size
        return stored / (time.perf_counter() - began)

    def _drain(self, worker: Worker, total: int) -> float:
        """Return tasks a second from the first start to the last completion, or to the limit."""
        before = self._notes.count()
        if not worker.wait(lambda: self._notes.count() > before, START_WITHIN):
            raise Failed(f"no task started within {START_WITHIN:.0f} s")
        first = self._notes.start(before)
        left = first + self._limits.seconds - time.time()
        if worker.wait(lambda: self._notes.count() >= before + total, left):
            worker.wait(self._is_done, max(0.0, first + self._limits.seconds - time.time()))
        ended = time.time()
        return (total - self._peer.unfinished()) / (ended - first)


if __name__ == "__main__":
    main()
