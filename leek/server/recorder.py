"""Settles outcomes: all that arrived during the last commit go into the next one."""

import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from django.db import DatabaseError

from leek import lifecycle
from leek.database import TRANSIENT_ERRORS
from leek.outcome import ErrorReport, Failure, Outcome, Retry
from leek.server.heartbeat import Lease
from leek.server.journal import log_refused
from leek.server.service import Outage, Service

MOST_TOGETHER = 1000  # outcomes in one transaction
LEASE_PAUSE = 0.1  # seconds between looks at a lease that was not renewed in time

logger = logging.getLogger("leek")


class Recorder(Service):
    """Takes outcomes from the workers and stores them; keeps them while the database is away.

    No timer and no added delay: a lone outcome is stored at once.
    """

    name = "recorder"

    def __init__(self, outage: Outage, lease: Lease, on_put_off: Callable[[], None]) -> None:
        super().__init__(outage)
        self.handled = 0
        self._lease = lease
        self._on_put_off = on_put_off
        self._arrived: SimpleQueue[Outcome | None] = SimpleQueue()
        self._unsettled: list[Outcome] = []
        self._handled_lock = threading.Lock()
        self._ending = False

    def record(self, outcome: Outcome) -> None:
        """Hand over an outcome."""
        with self._handled_lock:
            self.handled += 1
        self._arrived.put(outcome)

    def stop(self) -> None:
        """End the loop as soon as all outcomes are stored."""
        self._ending = True
        self._arrived.put(None)

    @property
    def is_idle(self) -> bool:
        """Whether everything that arrived is stored."""
        return not self._unsettled and self._arrived.empty()

    def run_once(self) -> None:
        """Wait for outcomes, and store all that are there."""
        self._gather()
        if self._unsettled and not self._lease.is_valid:
            self.stopping.wait(LEASE_PAUSE)  # the heartbeat renews it, or finds that it was lost
        elif self._unsettled:
            self._settle()
        elif self._ending:
            self.stopping.set()

    def _gather(self) -> None:
        try:
            while len(self._unsettled) < MOST_TOGETHER:
                wait = not self._unsettled and not self._ending
                if (outcome := self._arrived.get(block=wait)) is not None:
                    self._unsettled.append(outcome)
                elif wait:
                    return
        except Empty:
            return

    def _settle(self) -> None:
        batch = list(self._unsettled)
        try:
            refused = lifecycle.settle(self._lease.server_id, batch)
        except TRANSIENT_ERRORS:
            raise
        except DatabaseError:
            refused = [late for outcome in batch for late in self._settle_alone(outcome)]
        self._unsettled.clear()
        for outcome in refused:
            log_refused(outcome)
        if any(isinstance(outcome, Retry) for outcome in batch):
            self._on_put_off()

    def _settle_alone(self, outcome: Outcome) -> list[Outcome]:
        """Store an outcome by itself; one that the database refuses fails its task."""
        try:
            return lifecycle.settle(self._lease.server_id, [outcome])
        except TRANSIENT_ERRORS:
            raise
        except DatabaseError as error:
            logger.exception("The outcome of task %s cannot be stored", outcome.claimed.id)
            report = ErrorReport(
                type=f"{type(error).__module__}.{type(error).__qualname__}",
                message=f"the outcome could not be stored: {str(error)!a}",
            )
            failure = Failure(outcome.claimed, outcome.started_at, outcome.finished_at, report)
            return lifecycle.settle(self._lease.server_id, [failure])
