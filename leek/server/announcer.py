"""Sends the signals of tasks that have ended."""

import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from leek.announcing import tidings_of
from leek.connections import refresh_connections
from leek.contracts import Tidings
from leek.outcome import Outcome
from leek.server.journal import journal
from leek.server.service import LateService, Outage, distrust_after

MOST_WAITING = 10_000  # signals, from which on further ones are dropped


class Announcer(LateService):
    """Takes outcomes that are stored, and calls the site's receivers; nothing waits for these.

    The thread is started with the first signal that has a receiver.
    """

    name = "announcer"
    runs_sites_code = True

    def __init__(self, outage: Outage, on_end: Callable[[], None]) -> None:
        super().__init__(outage, on_end)
        self._waiting: SimpleQueue[Tidings | None] = SimpleQueue()
        self._is_dropping = False

    def take(self, outcomes: Sequence[Outcome]) -> None:
        """Take over outcomes that are stored."""
        for outcome in outcomes:
            for tidings in tidings_of(outcome):
                self._put(tidings)

    def run_once(self) -> None:
        """Wait for a signal, and send it."""
        rested = time.monotonic()
        if (tidings := self._waiting.get()) is None:
            self.stopping.set()
            return
        distrust_after(rested)
        tidings.send()
        refresh_connections()

    def stop(self) -> None:
        """End the loop as soon as all signals are sent that were taken over."""
        self.hurry()
        self._waiting.put(None)

    def abandon(self) -> None:
        """End the loop after the receivers that are being called."""
        if not self.has_ended:
            journal.warning("Some signals of tasks were not sent: their receivers take too long")
        self.stopping.set()
        self.stop()

    def _put(self, tidings: Tidings) -> None:
        if self._waiting.qsize() < MOST_WAITING:
            self._waiting.put(tidings)
            self._is_dropping = False
        elif not self._is_dropping:
            self._is_dropping = True
            journal.warning(
                "%s signals of tasks wait for their receivers: further ones are dropped",
                MOST_WAITING,
            )
        self.start_once()
