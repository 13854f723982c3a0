"""The process that profiles drains by a server within itself, on the database of DATABASE_URL.

It prints the processor time of each thread, then what the main ones spend their time with. From
Python 3.12 on a profile of one thread also has the calls of the others.
"""

import cProfile
import logging
import os
import pstats
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from typing import Any

import django

LOOK_INTERVAL = 0.02
LINES = 25


class ThreadTimes(threading.Thread):
    """Watches how much processor time each of leek's threads has used, until `stop`."""

    def __init__(self) -> None:
        super().__init__(name="thread-times", daemon=True)
        self.seconds: dict[str, float] = {}
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look again and again: a thread that has ended tells nothing."""
        while not self._stopping.wait(LOOK_INTERVAL):
            self.look()

    def look(self) -> None:
        """Note the processor time of the threads there are."""
        for thread in threading.enumerate():
            if thread is not self and thread.ident is not None:
                with suppress(OSError):
                    clock = time.pthread_getcpuclockid(thread.ident)
                    self.seconds[thread.name] = time.clock_gettime(clock)

    def stop(self) -> None:
        """End it, and wait for that."""
        self._stopping.set()
        self.join()


def main() -> None:
    """Set the site up, push, drain and print."""
    tasks = int(sys.argv[1])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    logging.getLogger("leek").setLevel(logging.ERROR)
    from tests.benchmarks.site import test_database

    with test_database():
        print_times(tasks)
        print_profile(tasks)


def print_times(tasks: int) -> None:
    """Print the processor time of each thread during a drain that is not disturbed."""
    times = ThreadTimes()
    times.start()
    began = time.monotonic()
    drain(tasks)
    seconds = time.monotonic() - began
    times.stop()
    print(f"{tasks:,} tasks in {seconds:.2f} s, push, start and stop included; processor time:")
    for name, used in sorted(times.seconds.items(), key=lambda item: -item[1]):
        print(f"  {name:<24}{used:8.3f} s {1_000_000 * used / tasks:8.1f} µs a task")


def print_profile(tasks: int) -> None:
    """Print what the threads of Worker, recorder and dispatcher do, one drain for each."""
    from leek.server.dispatcher import Dispatcher
    from leek.server.recorder import Recorder
    from leek.server.worker import Worker

    for part in (Worker, Recorder, Dispatcher):
        profile = cProfile.Profile()
        with profiled(part, profile):
            drain(tasks)
        print(f"\n{part.__name__}")
        pstats.Stats(profile).sort_stats("tottime").print_stats(LINES)


@contextmanager
def profiled(part: Any, profile: cProfile.Profile) -> Iterator[None]:
    """Have the thread of a part of the server run under a profiler."""
    run = part._run
    part._run = lambda self: profile.runcall(run, self)
    try:
        yield
    finally:
        del part._run  # what is left is the one of Service


def drain(tasks: int) -> None:
    """Push tasks, and run them in this process until none is left."""
    from django.core.management import call_command

    from leek.api import push_many
    from tests.site.tasks import noop

    push_many([(noop, (), {})] * tasks)
    call_command("leek_server", "--drain", "--port=0", "-v0", stdout=StringIO())


if __name__ == "__main__":
    main()
