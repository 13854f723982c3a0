"""How long the database takes, and how often it commits at once."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import connection

from leek.connections import close_connections

BLOCKS = 10  # of commits


class Stopwatch:
    """Adds up the seconds that this thread waits for statements and commits."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time what the connection of this thread is asked for."""
        commit = connection._commit  # type: ignore[attr-defined]
        connection._commit = lambda: self._timed(commit)  # type: ignore[attr-defined]
        try:
            with connection.execute_wrapper(self._timed):
                yield
        finally:
            del connection._commit  # type: ignore[attr-defined]

    def _timed(self, action: Callable[..., Any], *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return action(*arguments)
        finally:
            self.seconds += time.perf_counter() - began


def milliseconds(action: Callable[[], object]) -> float:
    """Return how long the database takes for an action."""
    stopwatch = Stopwatch()
    with stopwatch.running():
        action()
    return 1000 * stopwatch.seconds


def least(action: Callable[[], object], times: int) -> float:
    """Return how long the database takes for an action where nothing holds it up."""
    return min(milliseconds(action) for _ in range(1 + times))


def commits_per_second(threads: int, times: int, commit: Callable[[int], object]) -> float:
    """Return how many commits the database does at best, asked by so many threads at once.

    `commit` is given the number of the thread.
    """

    def commit_often(thread: int) -> None:
        try:
            for _ in range(times):
                commit(thread)
        finally:
            close_connections()

    seconds = []
    for _ in range(BLOCKS):
        with ThreadPoolExecutor(threads) as pool:
            began = time.perf_counter()
            list(pool.map(commit_often, range(threads)))
            seconds.append(time.perf_counter() - began)
    return threads * times / min(seconds)
