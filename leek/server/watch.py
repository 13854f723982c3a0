"""Which of the services that tasks require work, as far as this server can see."""

import threading
import time
from collections.abc import Callable
from typing import ClassVar

from leek import outages
from leek.retry import backoff
from leek.server.journal import journal
from leek.server.service import Outage, Service

TRUSTED_FOR = 1.0  # seconds after which a service that worked is checked before the next task
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 0.8  # seconds between two checks of a service that is down


class Watch:
    """Checks services for all threads of this server, and watches those that are down.

    `on_change` is called when a service goes down, with the reason, and with None when it is back;
    it must not wait.
    """

    def __init__(self, outage: Outage, on_change: Callable[[str, str | None], None]) -> None:
        self._outage = outage
        self._on_change = on_change
        self._lock = threading.Lock()
        self._checks: dict[str, threading.Lock] = {}  # one at a time for each service
        self._worked_at: dict[str, float] = {}
        self._watchers: dict[str, Watcher] = {}
        self._has_stopped = False

    def is_down(self, service: str) -> bool:
        """Tell whether a service is known to be down; nothing is checked."""
        return service in self._watchers

    def works(self, service: str) -> bool | None:
        """Tell whether a service worked when it was checked last, None if it never was."""
        if self.is_down(service):
            return False
        return True if service in self._worked_at else None

    def first_down(self, services: tuple[str, ...], *, anew: bool = False) -> str | None:
        """Return the first of these services that does not work, None if all do.

        A check that somebody else makes is waited for, and one that has just gone well is trusted,
        but not with `anew`.
        """
        return next((service for service in services if not self._works(service, anew)), None)

    def stop(self) -> None:
        """Watch nothing any more."""
        with self._lock:
            self._has_stopped = True
            watchers = [*self._watchers.values()]
        for watcher in watchers:
            watcher.stop()

    def join(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for the checks to end."""
        deadline = time.monotonic() + timeout
        for watcher in [*self._watchers.values()]:
            watcher.join(deadline - time.monotonic())

    def _works(self, service: str, anew: bool) -> bool:
        with self._lock:
            lock = self._checks.setdefault(service, threading.Lock())
        asked_at = time.monotonic()
        with lock:
            if self.is_down(service):
                return False
            worked_at = self._worked_at.get(service, float("-inf"))
            if worked_at > (asked_at if anew else asked_at - TRUSTED_FOR):
                return True
            if error := self._error(service):
                self._went_down(service, error)
                return False
            return True

    def _error(self, service: str) -> str | None:
        """Check a service; return why it does not work, None if it does."""
        began = time.monotonic()
        try:
            outages.check(service)
        except Exception as error:  # noqa: BLE001 (any client's error tells that)
            return f"{type(error).__name__}: {error}"
        self._worked_at[service] = began
        return None

    def _went_down(self, service: str, error: str) -> None:
        journal.warning("Waiting for %s: %s. Its tasks wait, others go on.", service, error)
        with self._lock:
            if self._has_stopped:
                return
            watcher = Watcher(self._outage, service, self._error, self._came_back)
            self._watchers[service] = watcher
            self._on_change(service, error)  # with the lock, as changes are told in their order
        watcher.start()

    def _came_back(self, service: str, seconds: float) -> None:
        journal.warning("%s works again, after %.1f s. Its tasks go on.", service, seconds)
        with self._lock:
            self._watchers.pop(service)
            self._on_change(service, None)


class Watcher(Service):
    """Checks a service that is down, time and again, until it works; does nothing else."""

    name: ClassVar[str] = "watcher"
    runs_sites_code = True

    def __init__(
        self,
        outage: Outage,
        service: str,
        check: Callable[[str], str | None],
        on_return: Callable[[str, float], None],
    ) -> None:
        super().__init__(outage)
        self._service = service
        self._check = check
        self._on_return = on_return
        self._began = time.monotonic()
        self._checks = 0

    def run_once(self) -> None:
        """Wait a moment and check."""
        self._checks += 1
        self.rest(backoff(self._checks, FIRST_PAUSE, LONGEST_PAUSE))
        if not self.stopping.is_set() and self._check(self._service) is None:
            self._on_return(self._service, time.monotonic() - self._began)
            self.stopping.set()
