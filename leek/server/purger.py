"""Purges what has succeeded, if the site says after how long."""

import time
from contextlib import AbstractContextManager
from datetime import timedelta

from leek import upkeep
from leek.models import SuccessTasks
from leek.server.journal import journal
from leek.server.service import Outage, Service

INTERVAL = 60.0  # seconds between looks at what ended first
FULL_INTERVAL = 3600.0  # the same at all that ended, which takes a database longer


class Purger(Service):
    """Takes successful tasks that ended long ago, and deletes them, a few at a time.

    Every server may have one: what one of them has deleted the others do not find. It stops
    between two batches.
    """

    name = "purger"

    def __init__(
        self, outage: Outage, purge_after: float | None, write_lock: AbstractContextManager[object]
    ) -> None:
        super().__init__(outage)
        self._purge_after = purge_after
        self._write_lock = write_lock
        self._next_full = 0.0

    def start(self) -> None:
        """Start the thread, if there is something to do."""
        if self._purge_after is not None:
            super().start()

    def run_once(self) -> None:
        """Delete what is old enough, and rest."""
        if (now := time.monotonic()) >= self._next_full:
            self._purge(is_full=True)
            upkeep.forget_gates()
            self._next_full = now + FULL_INTERVAL
        else:
            while self._purge(is_full=False):
                pass
        if not self.stopping.is_set():
            self.rest(INTERVAL)

    def _purge(self, *, is_full: bool) -> int:
        """Delete what is old enough, of all or of what was pushed first; return how many tasks."""
        rows = upkeep.finished(SuccessTasks, timedelta(seconds=self._purge_after or 0))
        deleted = 0
        for number in upkeep.purge(rows if is_full else upkeep.first(rows), self._write_lock):
            deleted += number
            if self.stopping.is_set():
                return 0
        if deleted:
            journal.info("Purged %s tasks that have succeeded", deleted)
        return deleted
