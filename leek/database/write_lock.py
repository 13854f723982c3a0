"""How writers take turns where only one can write at a time."""

import threading
from contextlib import AbstractContextManager, nullcontext

from django.db import connections

# SQLite lets a writer that finds another one sleep up to so many seconds at a time, for the first
# eighth of a second; then longer. https://sqlite.org/src/file/src/main.c, sqliteDefaultBusyCallback
_LONGEST_SLEEP = 0.025


def write_lock(alias: str) -> AbstractContextManager[object]:
    """Return what writers of this process hold one at a time, where only one can write anyway.

    Writers of SQLite that meet do not queue: the later one sleeps, and then looks again. A lock
    of the process wakes it up at once. Who holds it must not wait for another writer.
    """
    return FairLock() if has_one_writer(alias) else nullcontext()


def rest_between_writes(alias: str) -> float:
    """Return for how many seconds who writes time and again should let others do so in between."""
    return 1.2 * _LONGEST_SLEEP if has_one_writer(alias) else 0.0


def has_one_writer(alias: str) -> bool:
    """Tell whether the database lets only one transaction write at a time."""
    return not connections[alias].features.has_select_for_update


class FairLock:
    """A lock that who has just held it gets only after who waits for it."""

    def __init__(self) -> None:
        self._next = threading.Lock()
        self._held = threading.Lock()

    def __enter__(self) -> None:
        with self._next:
            self._held.acquire()

    def __exit__(self, *error: object) -> None:
        self._held.release()
