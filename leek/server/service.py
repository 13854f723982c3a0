"""The thread that every part of the server runs in."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

from django import db

from leek.connections import close_connections, distrust_connections
from leek.database import have_brief_transactions
from leek.exceptions import LeekError
from leek.retry import backoff
from leek.server.journal import journal

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 0.5  # seconds between tries while the database is away
GRACE = 3.0  # seconds in which every living server has found the database again
CONNECTED_FOR = 0.5  # seconds of a rest after which connections are given up
IDLE_TOO_LONG = 2.0  # seconds after which connections are tried before they are used


class Outage:
    """Reports an outage of the database once, and once that it is over, for all services."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._affected: set[str] = set()
        self._last_hit = float("-inf")

    def hit(self, service: str, error: Exception) -> None:
        """Note that the database failed a service."""
        with self._lock:
            self._last_hit = time.monotonic()
            is_new = not self._affected
            self._affected.add(service)
        if is_new:
            journal.error("The database fails: %s. Work goes on when it is back.", error)

    def over(self, service: str) -> None:
        """Note that the database served a service again."""
        with self._lock:
            is_over = self._affected == {service}
            self._affected.discard(service)
        if is_over:
            journal.warning("The database is back.")

    @property
    def grace(self) -> float:
        """The seconds that other servers may still need to renew leases which ran out meanwhile."""
        return max(self._last_hit + GRACE - time.monotonic(), 0.0)


class Service:
    """A loop in a thread of its own, which no error ends.

    A subclass gives `run_once`, one turn of the loop, and lets `stop` wake it up; `prepare` comes
    before the first turn, and `finish` after the last. `on_end` is called when the thread ends.
    Stopping twice, or before the start, is safe.
    """

    name: ClassVar[str]
    runs_sites_code: ClassVar[bool] = False  # which may let a transaction rest
    keeps_connections: ClassVar[bool] = False  # in a long rest: it might get no other one

    def __init__(self, outage: Outage, on_end: Callable[[], None] | None = None) -> None:
        self.stopping = threading.Event()
        self._hurry = threading.Event()
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._outage = outage
        self._failures = 0
        self._on_end = on_end
        self._thread = threading.Thread(target=self._run, name=f"leek-{self.name}", daemon=True)

    def prepare(self) -> None:
        """Do what is to be done in the thread before the first turn; it is tried once."""

    def run_once(self) -> None:
        """Do one turn of the loop."""
        raise NotImplementedError

    def finish(self) -> None:
        """Do what is left to do after the last turn; it is tried once."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the loop to end after this turn."""
        self.stopping.set()
        self.hurry()
        self.wake()

    def wake(self) -> None:
        """End the rest that the loop takes, or else the next one."""
        self._wake.set()

    def rest(self, seconds: float) -> bool:
        """Do nothing for so long, or until `wake` or `stop`; return whether one of them came.

        What there was to do is done. A long rest is one without connections: a database has only
        so many.
        """
        began = time.monotonic()
        self._outage.over(self.name)
        was_woken = self._wake.wait(min(seconds, CONNECTED_FOR))
        if not was_woken and seconds > CONNECTED_FOR:
            if not self.keeps_connections:
                give_up_connections()
            was_woken = self._wake.wait(seconds - CONNECTED_FOR)
        self._wake.clear()
        distrust_after(began)
        return was_woken

    def hurry(self) -> None:
        """Make no long pauses after errors any more."""
        self._hurry.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds for the thread to end, and return whether it has."""
        if self._thread.ident is not None:
            self._thread.join(None if timeout is None else max(timeout, 0.0))
        return not self._thread.is_alive()

    @property
    def has_ended(self) -> bool:
        """Whether the loop is over; true when `on_end` is called, unlike the thread's own state."""
        return self._ended.is_set()

    def _run(self) -> None:
        if not self.runs_sites_code:
            have_brief_transactions()
        try:
            self._guard(self.prepare)
            while not self.stopping.is_set():
                self.run_guarded()
            self._guard(self.finish)
        finally:
            give_up_connections()
            self._ended.set()
            if self._on_end:
                self._on_end()

    def run_guarded(self) -> None:
        """Do one turn; pause a moment after an error."""
        if self._guard(self.run_once):
            self._failures = 0
            return
        self._failures += 1
        if self._hurry.is_set():
            self.stopping.wait(FIRST_PAUSE)
        else:
            self._hurry.wait(backoff(self._failures, FIRST_PAUSE, LONGEST_PAUSE))

    def _guard(self, action: Callable[[], None]) -> bool:
        """Return whether this went well; if not, say so."""
        try:
            action()
        except db.Error as error:
            self._database_failed(error)
        except LeekError as error:  # it says what is wrong
            journal.error("leek's %s goes on after an error: %s", self.name, error)
        except Exception:  # noqa: BLE001 (it is logged)
            journal.exception("leek's %s met an error and goes on", self.name)
        else:
            self._outage.over(self.name)
            return True
        return False

    def _database_failed(self, error: db.Error) -> None:
        """Have the next try connect anew; an outage is what fails that too, or has no next try.

        A connection that still works is given up as well: it may lead to a server that is only
        read from since another one has taken its place.
        """
        journal.debug("The database failed leek's %s: %s", self.name, error)
        if self._failures or self.stopping.is_set():
            self._outage.hit(self.name, error)
        give_up_connections()


class LateService(Service):
    """A service whose thread is started when there is something to do for it."""

    def __init__(self, outage: Outage, on_end: Callable[[], None] | None = None) -> None:
        super().__init__(outage, on_end)
        self._start_lock = threading.Lock()
        self._is_started = False

    def start_once(self) -> None:
        """Start the thread, if nobody has done so; the next call tries again what has failed."""
        with self._start_lock:
            if not self._is_started:
                self.start()
                self._is_started = True

    @property
    def has_ended(self) -> bool:
        """Whether the loop is over, or was never begun."""
        return not self._is_started or super().has_ended


class Taker(Service):
    """A service that takes claimed tasks, until there are no more; at a stop it must not wait."""

    def stop_waiting(self) -> None:
        """Wait no more for what is needed to go on with a task."""

    def abandon(self) -> None:
        """End now; what was taken is given back."""
        self.stop()


def distrust_after(began: float) -> None:
    """Have this thread's connections tried before they are used, if they rested for long.

    `began` is when the rest began, by the monotonic clock.
    """
    if time.monotonic() - began > IDLE_TOO_LONG:
        distrust_connections()


def give_up_connections() -> None:
    """Close this thread's connections, also those that are broken and fail to close."""
    with suppress(Exception):
        close_connections()
