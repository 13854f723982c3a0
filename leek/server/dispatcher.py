"""Claims ready rows into the backlog; sleeps until a hint, a due time or the fallback poll."""

import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from leek import lifecycle
from leek.server.backlog import Backlog
from leek.server.heartbeat import Lease
from leek.server.pace import Pace
from leek.server.service import Outage, Service

PROMOTE_BATCH = 1000
STALLED_AFTER = 1.0  # seconds in which no worker took a task: then what waits is given back

logger = logging.getLogger("leek")


@dataclass(frozen=True)
class Ears:
    """Whom the dispatcher tells what it finds: dead servers; nothing to do; its last task done."""

    on_dead_servers: Callable[[], None]
    on_idle: Callable[[], None]
    on_exhausted: Callable[[], None]


class Dispatcher(Service):
    """Takes ready rows from the database and hands them on to the backlog; never runs a task.

    It claims no more than the workers can start soon, and no more than `max_tasks` in all.
    """

    name = "dispatcher"

    def __init__(
        self,
        outage: Outage,
        lease: Lease,
        backlog: Backlog,
        pace: Pace,
        ears: Ears,
        *,
        workers: int,
        queues: list[str] | None,
        poll_interval: float,
        max_tasks: int | None = None,
    ) -> None:
        super().__init__(outage)
        self._lease = lease
        self._backlog = backlog
        self._pace = pace
        self._ears = ears
        self._workers = workers
        self._queues = queues
        self._poll_interval = poll_interval
        self._max_tasks = max_tasks
        self._wake = threading.Event()
        self._claim_numbers = itertools.count(1)
        self._doubtful: tuple[int, int] | None = None  # a claim whose answer got lost
        self._ready = True  # whether there may be ready rows
        self._came_back_empty = False
        self._next_look = 0.0
        self._refill_at = 0  # unfinished tasks, from which on more are claimed
        self._handed_on = 0

    def stop(self) -> None:
        """End the loop at once."""
        super().stop()
        self._wake.set()

    def hint(self) -> None:
        """Claim now: there is work."""
        self._ready = True
        self._wake.set()

    def look_soon(self) -> None:
        """Look at the due times now: a task was put off."""
        self._next_look = 0.0
        self._wake.set()

    def task_ended(self) -> None:
        """Claim more if it is time: a worker has finished a task."""
        is_time = self._backlog.unfinished <= self._refill_at
        if is_time and (self._ready or self._is_exhausted()):
            self._wake.set()

    def run_once(self) -> None:
        """Sleep until there may be something to do, and do it."""
        self._wake.wait(max(self._next_look - time.monotonic(), 0.0))
        self._wake.clear()
        if self.stopping.is_set():
            return
        self._take_back_doubtful()
        self._give_back_stalled()
        while self._ready and self._lease.is_valid and self._claim():
            pass
        if self._is_exhausted() and not self._backlog.unfinished:
            self._ears.on_exhausted()
        if time.monotonic() >= self._next_look:
            self._look()

    def _claim(self) -> bool:
        """Claim as many as there is room for; return whether there may be more of both."""
        if (room := self._room()) <= 0:
            return False
        self._ready = False  # before the claim, because a hint may come during it
        number = next(self._claim_numbers)
        self._doubtful = (self._lease.server_id, number)
        claimed = lifecycle.claim(*self._doubtful, room, self._queues)
        self._doubtful = None
        self._handed_on += len(claimed)
        self._pace.claimed(len(claimed))
        self._refill_at = self._workers + self._pace.ahead // 2 - 1
        self._backlog.put(claimed)
        self._came_back_empty = not claimed
        if len(claimed) < room:
            self._next_look = 0.0
            return False
        self._ready = True
        return True

    def _room(self) -> int:
        room = self._workers + self._pace.ahead - self._backlog.unfinished
        return room if self._max_tasks is None else min(room, self._max_tasks - self._handed_on)

    def _look(self) -> None:
        """Learn what there is to do, and when to look again."""
        was_idle = not self._backlog.unfinished
        agenda = lifecycle.look(self._lease.server_id, self._queues)
        self._next_look = time.monotonic() + self._poll_interval
        if agenda.next_due is not None:
            self._next_look = min(self._next_look, time.monotonic() + agenda.next_due)
        if agenda.next_due == 0:
            lifecycle.promote(self._queues, PROMOTE_BATCH)
        if agenda.dead_servers or not agenda.registered:
            self._ears.on_dead_servers()
        if (agenda.ready and not self._came_back_empty) or agenda.next_due == 0:
            self.hint()
        elif was_idle and not agenda.ready:
            self._ears.on_idle()
        self._came_back_empty = False  # rows that others hold are tried again after a poll

    def _give_back_stalled(self) -> None:
        """Release what waits behind slow tasks: another server may be idle, or be asked first."""
        stalled = time.monotonic() - self._backlog.last_taken > STALLED_AFTER
        if stalled and (waiting := self._backlog.drain()):
            self._pace.forget()
            self._handed_on -= len(waiting)
            self._ready = True
            lifecycle.release(self._lease.server_id, waiting)

    def _take_back_doubtful(self) -> None:
        """Release what a claim took whose answer got lost with the connection."""
        if self._doubtful is not None:
            lifecycle.release_claim(*self._doubtful)
            self._doubtful = None
            self._ready = True

    def _is_exhausted(self) -> bool:
        return self._max_tasks is not None and self._handed_on >= self._max_tasks
