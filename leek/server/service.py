"""The thread that every part of the server runs in."""

import logging
import threading
from collections.abc import Callable
from typing import ClassVar

from django import db

from leek.database import close_connections, refresh_connections
from leek.retry import backoff

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between tries while the database is away

logger = logging.getLogger("leek")


class Outage:
    """Reports an outage of the database once, and once that it is over, for all services."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._affected: set[str] = set()

    def hit(self, service: str, error: Exception) -> None:
        """Note that the database failed a service."""
        with self._lock:
            if not self._affected:
                logger.error("The database fails: %s. Work goes on when it is back.", error)
            self._affected.add(service)

    def over(self, service: str) -> None:
        """Note that the database served a service again."""
        with self._lock:
            if service in self._affected:
                self._affected.remove(service)
                if not self._affected:
                    logger.warning("The database is back.")


class Service:
    """A loop in a thread of its own, which no error ends.

    A subclass gives `run_once`, one turn of the loop, and lets `stop` wake it up. `on_end` is
    called when the thread ends. Stopping twice, or before the start, is safe.
    """

    name: ClassVar[str]

    def __init__(self, outage: Outage, on_end: Callable[[], None] | None = None) -> None:
        self.stopping = threading.Event()
        self._ended = threading.Event()
        self._outage = outage
        self._failures = 0
        self._on_end = on_end
        self._thread = threading.Thread(target=self._run, name=f"leek-{self.name}", daemon=True)

    def run_once(self) -> None:
        """Do one turn of the loop."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the loop to end after this turn."""
        self.stopping.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds for the thread to end, and return whether it has."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def has_ended(self) -> bool:
        """Whether the loop is over; true when `on_end` is called, unlike the thread's own state."""
        return self._ended.is_set()

    def _run(self) -> None:
        try:
            while not self.stopping.is_set():
                self.run_guarded()
        finally:
            close_connections()
            self._ended.set()
            if self._on_end:
                self._on_end()

    def run_guarded(self) -> None:
        """Do one turn; after an error say so, mend the connection, and pause a moment."""
        try:
            self.run_once()
        except db.Error as error:
            self._outage.hit(self.name, error)
            refresh_connections()
        except Exception:
            logger.exception("leek's %s met an error and goes on", self.name)
        else:
            self._failures = 0
            self._outage.over(self.name)
            return
        self._failures += 1
        self.stopping.wait(backoff(self._failures, FIRST_PAUSE, LONGEST_PAUSE))
