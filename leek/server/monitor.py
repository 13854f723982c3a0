"""Counts the attempts that end, and tells what has been running for long: for people to look at."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from leek import lifecycle
from leek.outcome import Outcome
from leek.server.counts import Counts
from leek.server.heartbeat import Lease
from leek.server.service import Outage, Service
from leek.tally import slices_of

LOOK_INTERVAL = 1.0  # seconds between looks at what is being run
STORE_INTERVAL = 5.0  # seconds between two times when tallies are stored
FORGET_INTERVAL = 3600.0  # seconds between two times when old ones are deleted
MOST_TOGETHER = 50  # names in one transaction
MOST_TOLD = 200  # tasks that the server's row names


class Monitor(Service):
    """Takes outcomes that are stored, and looks at the notes of what is being run.

    What is new of either it stores now and then; while there is nothing new it makes no statement.
    Nothing waits for it, and no task depends on what it stores. What cannot be stored is kept until
    it can.
    """

    name = "monitor"

    def __init__(
        self,
        outage: Outage,
        lease: Lease,
        running: Callable[[], set[int]],
        write_lock: AbstractContextManager[object],
    ) -> None:
        super().__init__(outage)
        self._lease = lease
        self._running = running
        self._write_lock = write_lock
        self._counts = Counts()
        self._since: dict[int, datetime] = {}
        self._long: dict[int, datetime] = {}
        self._told: tuple[int, dict[int, datetime]] = (lease.server_id, {})
        self._next_look = self._next_store = self._next_forget = 0.0

    def count(self, outcomes: Sequence[Outcome]) -> None:
        """Count outcomes that are stored."""
        self._counts.count(outcomes)

    def run_once(self) -> None:
        """Look, store what is new if it is time to, and rest."""
        if time.monotonic() >= self._next_look:
            self.look()
        self.tell()
        if time.monotonic() >= self._next_store:
            self.store()
        self.rest(LOOK_INTERVAL)

    def finish(self) -> None:
        """Store what is left."""
        self.store()

    def look(self) -> None:
        """See which tasks run, and which of them did so at the last look."""
        running, now = self._running(), datetime.now(UTC)
        in_order = sorted(self._since.keys() & running, key=lambda task: (self._since[task], task))
        self._long = {task: self._since[task] for task in in_order[:MOST_TOLD]}
        self._since = {task: self._since.get(task, now) for task in running}
        self._next_look = time.monotonic() + 0.9 * LOOK_INTERVAL  # sooner only after errors

    def tell(self) -> None:
        """Store which tasks have been running for long, if others are stored."""
        if (news := (self._lease.server_id, self._long)) != self._told:
            with self._write_lock:
                lifecycle.note_running(*news)
            self._told = news

    def store(self) -> None:
        """Store what is counted; delete now and then what is too old to be shown."""
        if self._counts.is_empty:
            return
        counted = self._counts.take()
        keys = sorted(counted)
        try:
            while keys:
                part = {key: counted[key] for key in keys[:MOST_TOGETHER]}
                with self._write_lock:
                    lifecycle.add_tallies(slices_of(part))
                del keys[:MOST_TOGETHER]
        except Exception:
            self._counts.give_back({key: counted[key] for key in keys})
            raise
        self._counts.stored()
        self._next_store = time.monotonic() + STORE_INTERVAL
        self._forget()

    def _forget(self) -> None:
        if time.monotonic() >= self._next_forget:
            with self._write_lock:
                lifecycle.forget_tallies()
            self._next_forget = time.monotonic() + FORGET_INTERVAL
