"""What runs inside the process that a Worker has for its tasks alone.

It is spawned by `leek.server.isolation`. Over a pipe it gets an `Errand`, says that it is ready,
and then gets one claimed task after the other and gives a `Report` for each.
"""

import ctypes
import os
import resource
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

import django

from leek.connections import close_connections, refresh_connections
from leek.outcome import Claimed, Outcome
from leek.server.executor import Executor
from leek.server.service import distrust_after
from leek.server.shutdown import on_stop_signals

READY = "ready"

_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
_OUT_OF_MEMORY_SCORE = "500"  # from -1000 to 1000, the first to go


@dataclass(frozen=True)
class Errand:
    """What the process needs to know before its first task; `argv` is the server's command line."""

    executor: Executor
    argv: list[str]


@dataclass(frozen=True)
class Report:
    """How a task ended, and how many bytes of memory the process holds after it."""

    outcome: Outcome
    memory: int


def main(descriptor: int) -> None:
    """Run the tasks that come through the pipe, until it is closed at the other end."""
    _die_with_the_server()
    pipe = Connection(descriptor)
    try:
        errand: Errand = pipe.recv()
    except EOFError:  # the server ended as this process began
        return
    sys.argv = errand.argv
    with on_stop_signals(lambda: None, -1):  # only the server decides when this process ends
        django.setup()
        pipe.send(READY)
        Child(pipe, errand.executor).run()


class Child:
    """Runs tasks in the main thread, and ends at once when the server does."""

    def __init__(self, pipe: Connection, executor: Executor) -> None:
        self._pipe = pipe
        self._executor = executor
        self._tasks: SimpleQueue[Claimed | None] = SimpleQueue()
        self._is_busy = False

    def run(self) -> None:
        """Run tasks until there are no more."""
        threading.Thread(target=self._listen, name="leek-pipe", daemon=True).start()
        waiting_since = time.monotonic()
        while (claimed := self._tasks.get()) is not None:
            distrust_after(waiting_since)
            outcome = self._executor.run(claimed)
            self._is_busy = False
            self._pipe.send(Report(outcome, memory_in_use()))
            with suppress(Exception):  # what is broken may also fail to close
                refresh_connections()
            waiting_since = time.monotonic()
        close_connections()

    def _listen(self) -> None:
        """Take tasks from the pipe; a task that still runs when it is closed would run twice."""
        with suppress(EOFError, OSError):
            while True:
                claimed = self._pipe.recv()
                self._is_busy = True
                self._tasks.put(claimed)
        if self._is_busy:
            os._exit(1)
        self._tasks.put(None)


def _die_with_the_server() -> None:
    """Have the kernel end this process with the server, and sooner than it if memory runs out.

    Where the system cannot, `Child` sees the end of the pipe, as long as the task lets it.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OUT_OF_MEMORY_SCORE)


def memory_in_use() -> int:
    """Return how many bytes of memory this process holds; its peak where the system hides that."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return pages * resource.getpagesize()
