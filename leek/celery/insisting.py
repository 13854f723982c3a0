"""Does in the database what has to be done there, as soon as that can be."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from django import db

from leek.retry import backoff
from leek.server.service import Outage, give_up_connections

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0  # seconds between tries while the database is away

T = TypeVar("T")


class Insistence:
    """Tries until the database does what is asked, or this process leaves the fleet."""

    def __init__(
        self, outage: Outage, write_lock: AbstractContextManager[object], leaving: threading.Event
    ) -> None:
        self._outage = outage
        self._write_lock = write_lock
        self._leaving = leaving

    def on(self, action: Callable[[], T]) -> T:
        """Return what an action returns; raise the database's error once this process leaves."""
        tries = 0
        while True:
            try:
                with self._write_lock:
                    done = action()
            except db.Error as error:
                tries += 1
                give_up_connections()
                if tries > 1:
                    self._outage.hit("celery", error)
                if self._leaving.wait(backoff(tries, FIRST_PAUSE, LONGEST_PAUSE)):
                    raise
            else:
                self._outage.over("celery")
                return done
