"""Settles outcomes: all that arrived during the last commit go into the next one."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from queue import Empty, SimpleQueue

from django import db

from leek import lifecycle
from leek.database import is_transient
from leek.outcome import Blocked, Crash, Ended, ErrorReport, Failure, Outcome, Retry, Success
from leek.server.alarm import Alarm
from leek.server.heartbeat import Lease
from leek.server.journal import journal, log_refused
from leek.server.service import Outage, Service, distrust_after

MOST_TOGETHER = 1000  # outcomes in one transaction
MOST_TEXT = 1_000_000  # characters in one transaction, from which on no outcome is added
MOST_KEPT = 10_000  # outcomes in memory, from which on workers have to wait
MOST_KEPT_TEXT = 10_000_000  # characters in memory, from which on workers have to wait
LEASE_PAUSE = 0.1  # seconds between looks at a lease that was not renewed in time


class Recorder(Service):
    """Takes outcomes from the workers and stores them; keeps them while the database is away.

    No timer and no added delay: a lone outcome is stored at once. While too much is kept, the
    workers are kept from starting the next task. `on_settled` is told of all that were dealt with,
    `on_stored` of those that were not refused.
    """

    name = "recorder"

    def __init__(
        self,
        outage: Outage,
        lease: Lease,
        alarm: Alarm,
        write_lock: AbstractContextManager[object],
        on_settled: Callable[[Sequence[Outcome]], None],
        on_stored: Callable[[Sequence[Outcome]], None],
        on_end: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(outage, on_end)
        self.handled = 0
        self._taken = 0
        self._settled = 0
        self._lease = lease
        self._alarm = alarm
        self._write_lock = write_lock
        self._on_settled = on_settled
        self._on_stored = on_stored
        self._arrived: SimpleQueue[Outcome | None] = SimpleQueue()
        self._unsettled: list[Outcome] = []
        self._awaited: dict[Outcome, threading.Event] = {}
        self._kept_text = 0
        self._lock = threading.Lock()
        self._has_room = threading.Event()
        self._has_room.set()
        self._ending = False

    def record(self, outcome: Outcome) -> None:
        """Hand over an outcome; return when there is room for the next one.

        A crash is stored when this returns: until then only the Worker's note tells of it, if this
        process dies, too.
        """
        if isinstance(outcome, Crash):
            self._awaited[outcome] = stored = threading.Event()
            self.take(outcome)
            stored.wait()
        else:
            self.take(outcome)
            self.wait_for_room()

    def take(self, outcome: Outcome) -> None:
        """Take an outcome over at once, for who must not wait; `wait_for_room` before the next."""
        with self._lock:
            self._taken += 1
            self.handled += not isinstance(outcome, Blocked)
            self._kept_text += _weight(outcome)
            self._check_room()
        self._arrived.put(outcome)

    def wait_for_room(self) -> None:
        """Wait as long as too much is kept."""
        self._has_room.wait()

    def stop(self) -> None:
        """End the loop as soon as all outcomes are stored."""
        with self._lock:
            self._ending = True
            self._check_room()
        self.hurry()
        self._arrived.put(None)

    @property
    def is_all_stored(self) -> bool:
        """Whether everything that was handed over is stored."""
        return self._settled == self._taken

    @property
    def unstored_crashes(self) -> list[int]:
        """The tasks whose crash waits to be stored."""
        return [outcome.claimed.id for outcome in tuple(self._awaited)]

    def run_once(self) -> None:
        """Wait for outcomes, and store all that are there."""
        rested = time.monotonic()
        self._gather()
        if self._unsettled and not self._lease.is_valid:
            self.stopping.wait(LEASE_PAUSE)  # the heartbeat renews it, or finds that it was lost
        elif self._unsettled:
            distrust_after(rested)
            self._settle()
        elif self._ending:
            self.stopping.set()

    def _check_room(self) -> None:
        """Hold up the workers while too much is kept. Whoever calls this has the lock."""
        kept = self._taken - self._settled
        has_room = self._ending or (kept < MOST_KEPT and self._kept_text < MOST_KEPT_TEXT)
        if has_room and not self._has_room.is_set():
            self._has_room.set()
        elif not has_room:
            self._has_room.clear()

    def _gather(self) -> None:
        text = sum(map(_text, self._unsettled))
        try:
            while len(self._unsettled) < MOST_TOGETHER and text < MOST_TEXT:
                wait = not self._unsettled and not self._ending
                if (outcome := self._arrived.get(block=wait)) is not None:
                    self._unsettled.append(outcome)
                    text += _text(outcome)
                elif wait:
                    return
        except Empty:
            return

    def _settle(self) -> None:
        batch = list(self._unsettled)
        stored, refused = self._store(batch)
        self._unsettled.clear()
        self._on_settled(batch)  # before all is said to be stored, as these may let others go on
        with self._lock:
            self._settled += len(batch)
            self._kept_text -= sum(map(_weight, batch))
            self._check_room()
        self._release_awaiting(batch)
        for outcome in refused:
            log_refused(outcome)
        self._on_stored(stored)
        if any(isinstance(outcome, Retry) for outcome in batch):
            self._alarm.agenda_changed()
        if any(isinstance(outcome, Crash) for outcome in batch):
            self._alarm.work_is_ready()

    def _store(self, outcomes: list[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
        """Store outcomes; return those that are, and those that were refused."""
        unstored = [each for each in outcomes if not (isinstance(each, Success) and each.is_stored)]
        try:
            with self._write_lock:
                refused = lifecycle.settle(unstored)
        except db.Error as error:
            if is_transient(error):
                raise
            alone = {each: self._settle_alone(each) for each in unstored}
            outcomes = [stored for each in outcomes for stored in alone.get(each, [each])]
            refused = [each for each in unstored if not alone[each]]
        return [each for each in outcomes if each not in refused], refused

    def _release_awaiting(self, outcomes: list[Outcome]) -> None:
        """Let the Workers go on that wait for these outcomes to be stored."""
        for outcome in outcomes:
            if isinstance(outcome, Crash):
                self._awaited.pop(outcome).set()

    def _settle_alone(self, outcome: Outcome) -> list[Outcome]:
        """Store an outcome by itself; one that the database refuses fails its task.

        That is tried without what the task has logged, first. Return what is stored, nothing if
        it was refused as too late.
        """
        try:
            return [] if lifecycle.settle([outcome]) else [outcome]
        except db.Error as error:
            if is_transient(error):
                raise
            if isinstance(outcome, Ended) and outcome.logged:
                return self._settle_alone(replace(outcome, logged=None))
            report = ErrorReport(
                type=f"{type(error).__module__}.{type(error).__qualname__}",
                message=f"the outcome could not be stored: {str(error)!a}",
            )
            failure = Failure(outcome.claimed, outcome.started_at, outcome.finished_at, report)
            refused = lifecycle.settle([failure])
            journal.exception("The outcome of task %s cannot be stored", outcome.claimed.id)
            return [] if refused else [failure]


def _weight(outcome: Outcome) -> int:
    """Return how many characters are kept of an outcome and its task."""
    return _text(outcome) + len(outcome.claimed.payload)


def _text(outcome: Outcome) -> int:
    """Return how many characters are stored of an outcome, at most."""
    if not isinstance(outcome, Ended):
        return 0
    if isinstance(outcome, Success):
        own = len(outcome.result or "")
    else:
        own = len(outcome.error.message) + len(outcome.error.traceback)
    return own + outcome.logged.characters if outcome.logged else own
