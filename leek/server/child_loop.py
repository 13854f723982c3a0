"""What runs inside the process that a Worker has for its tasks alone, once that has started.

It gets one claimed task after the other, and gives a `Report` for each; before one that is to run
under terms of its own it makes an `Announcement`, and is told whether to begin. While one runs it
may tell its `Progress`.
"""

import os
import resource
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

from leek.conditions import Conditions
from leek.conf import config
from leek.connections import close_connections, keep_caches, refresh_connections
from leek.database import impatient_connections, watched_links
from leek.models import queue_database
from leek.outcome import Claimed, Failure, Outcome, Progress, Retry
from leek.server.child_log import ChildLog
from leek.server.executor import Attempt, Executor
from leek.server.progress import ProgressKeeper
from leek.server.service import Outage, distrust_after

READY = "ready"
PROGRESS_INTERVAL = 0.1  # seconds between two times when the server is told of progress


@dataclass(frozen=True)
class Announcement:
    """What the server has to see to: the conditions of a task that is about to run, and its limit.

    `when_killed` is what follows if the `timeout` is over. The process waits for True, or False.
    """

    conditions: Conditions
    timeout: float | None
    when_killed: Retry | Failure


@dataclass(frozen=True)
class Report:
    """How a task ended, and how many bytes of memory the process holds after it."""

    outcome: Outcome
    memory: int


class Child:
    """Runs tasks in the main thread, and ends at once when the server does."""

    def __init__(self, pipe: Connection, executor: Executor, log_descriptor: int) -> None:
        self._pipe = pipe
        self._progress = ProgressKeeper(Outage(), self._send_progress, PROGRESS_INTERVAL)
        log = ChildLog(log_descriptor, executor.log_lines)
        self._executor = replace(executor, on_progress=self._progress.note, on_line=log.keep)
        self._sending = threading.Lock()
        self._messages: SimpleQueue[Claimed | bool | None] = SimpleQueue()
        self._is_busy = False

    def run(self) -> None:
        """Say that it is ready, and run tasks until there are no more."""
        self._send(READY)
        keep_caches()
        threading.Thread(target=self._listen, name="leek-pipe", daemon=True).start()
        with watched_links(config.LEASE), impatient_connections(queue_database()):
            self._run_all()
        close_connections()

    def _run_all(self) -> None:
        waiting_since = time.monotonic()
        while isinstance(claimed := self._messages.get(), Claimed):
            distrust_after(waiting_since)
            outcome = self._run(claimed)
            self._progress.flush()
            self._is_busy = False
            if outcome is not None:
                self._send(Report(outcome, memory_in_use()))
            with suppress(Exception):  # what is broken may also fail to close
                refresh_connections()
            waiting_since = time.monotonic()

    def _run(self, claimed: Claimed) -> Outcome | None:
        """Run a task, and return how it ended; None where it may not begin."""
        loaded = self._executor.load(claimed)
        if not isinstance(loaded, Attempt):
            return loaded
        if loaded.conditions != Conditions() or loaded.terms is not self._executor.terms:
            when_killed = self._executor.timed_out(claimed, loaded.started_at, loaded)
            self._send(Announcement(loaded.conditions, loaded.timeout, when_killed))
            if self._messages.get() is not True:
                return None
        return self._executor.attempt(loaded)

    def _send_progress(self, latest: Sequence[Progress]) -> None:
        for each in latest:
            self._send(each)

    def _send(self, message: str | Announcement | Report | Progress) -> None:
        with self._sending:
            try:
                self._pipe.send(message)
            except ConnectionError:  # the server is gone
                os._exit(1)

    def _listen(self) -> None:
        """Take tasks from the pipe; a task that still runs when it is closed would run twice."""
        with suppress(EOFError, OSError):
            while True:
                message = self._pipe.recv()
                self._is_busy = self._is_busy or isinstance(message, Claimed)
                self._messages.put(message)
        if self._is_busy:
            os._exit(1)
        self._messages.put(None)


def memory_in_use() -> int:
    """Return how many bytes of memory this process holds; its peak where the system hides that."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return pages * resource.getpagesize()
