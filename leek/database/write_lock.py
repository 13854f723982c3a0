"""A lock between the writers of one process."""

import threading
from contextlib import AbstractContextManager, nullcontext

from django.db import connections


def write_lock(alias: str) -> AbstractContextManager[object]:
    """Return what writers of this process hold one at a time, where only one can write anyway.

    Writers of SQLite that meet do not queue: the later one sleeps, and then looks again. A lock
    of the process wakes it up at once. Who holds it must not wait for another writer.
    """
    has_one_writer = not connections[alias].features.has_select_for_update
    return FairLock() if has_one_writer else nullcontext()


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
