"""Claims ready rows into the backlog; sleeps until a hint, a due time or the fallback poll."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from leek import agenda, lifecycle
from leek.agenda import Agenda
from leek.outcome import Claimed
from leek.queues import Queues
from leek.server.alarm import Alarm
from leek.server.backlog import Backlog
from leek.server.claimer import Claimer
from leek.server.heartbeat import Lease
from leek.server.pace import Pace
from leek.server.service import Outage, Service, distrust_after

PROMOTE_BATCH = 1000
PUT_OFF = 10.0  # seconds until a task is due again that could not be begun
GATHERING = 0.002  # seconds from a claim that took all there was to the next one
LOOK_AFTER = 0.01  # seconds from a claim to a look: first the workers are to have their tasks
STALLED_AFTER = 1.0  # seconds in which no worker took a task: then what waits is given back


@dataclass(frozen=True)
class ClaimOptions:
    """For whom is claimed: so many workers, these queues (None: all), so many tasks in all.

    `poll_interval` is for how many seconds at most the dispatcher does not look by itself.
    """

    workers: int
    queues: Queues
    poll_interval: float
    max_tasks: int | None


class Dispatcher(Service):
    """Takes ready rows from the database and hands them on to the backlog; never runs a task.

    It claims no more than the workers can start soon, and gives back what they do not get to.
    """

    name = "dispatcher"

    def __init__(
        self,
        outage: Outage,
        options: ClaimOptions,
        lease: Lease,
        backlog: Backlog,
        pace: Pace,
        alarm: Alarm,
        write_lock: AbstractContextManager[object],
        *,
        is_all_stored: Callable[[], bool],
        on_dead_servers: Callable[[], None],
        on_blocked: Callable[[], bool],
        on_lost_lease: Callable[[], None],
        on_idle: Callable[[float], None],
        on_exhausted: Callable[[], None],
        on_end: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(outage, on_end)
        self._options = options
        self._lease = lease
        self._backlog = backlog
        self._pace = pace
        self._alarm = alarm
        self._write_lock = write_lock
        self._claimer = Claimer(lease, options.queues, backlog, write_lock)
        self._is_all_stored = is_all_stored
        self._on_dead_servers = on_dead_servers
        self._on_blocked = on_blocked
        self._on_lost_lease = on_lost_lease
        self._on_idle = on_idle
        self._on_exhausted = on_exhausted
        self._unwanted: deque[Claimed] = deque()  # claimed, and to be given back
        self._postponed: deque[Claimed] = deque()  # likewise, but not at once
        self._suspect: Claimed | None = None  # one at a time, so that it is known what was run
        self._suspects_wait = False
        self._came_back_empty = False
        self._gather_until = self._next_look = 0.0
        self._refill_at = 0  # unfinished tasks, from which on more are claimed
        self._busy_at = time.monotonic()

    def stop(self) -> None:
        """End the loop at once."""
        super().stop()
        self._alarm.ring()

    def task_ended(self, claimed: Claimed) -> None:
        """Claim more if it is time: a task has ended, or does not need a worker any more."""
        self._busy_at = time.monotonic()
        if self._forget_suspect(claimed):
            self._alarm.agenda_changed()
        is_time = self._backlog.unfinished <= self._refill_at
        if is_time and (self._alarm.ready or self._is_exhausted()):
            self._alarm.ring()

    def give_back(self, claimed: Claimed) -> None:
        """Give a task back to the queue that a worker may not run any more."""
        self._unwanted.append(claimed)
        self._alarm.ring()

    def put_off(self, claimed: Claimed) -> None:
        """Give a task back that nothing could be had for to run it; it is due again in a while."""
        self._postponed.append(claimed)
        self._alarm.ring()

    def run_once(self) -> None:
        """Sleep until there may be something to do, and do it."""
        fell_asleep = time.monotonic()
        self._alarm.wait(0.0 if self._alarm.look else self._next_look - fell_asleep)
        self._gather_hints()
        if self.stopping.is_set():
            return
        distrust_after(fell_asleep)
        if time.monotonic() - self._backlog.last_moved > STALLED_AFTER:
            self._clear_backlog()
        self._release()
        self._claim()
        if self._is_exhausted() and self._backlog.is_done:
            self._on_exhausted()
        if self._alarm.look or time.monotonic() >= self._next_look:
            self._look()

    def finish(self) -> None:
        """Give back what no worker has begun."""
        self._clear_backlog()
        self._release()

    def _gather_hints(self) -> None:
        """Wait a moment where tasks come one by one, so that several of them take one claim."""
        if self._alarm.ready and (left := self._gather_until - time.monotonic()) > 0:
            self.stopping.wait(left)

    def _claim(self) -> None:
        """Claim as many as there is room for, as long as there may be more."""
        if self._suspects_wait and self._suspect is None and not self._claim_suspect():
            return
        while self._alarm.ready and self._lease.is_valid and (room := self._room()) > 0:
            self._alarm.ready = False  # before the claim, because a hint may come during it
            number = self._claim_up_to(room)
            self._came_back_empty = not number
            if number == room:
                self._alarm.ready = True
            else:
                self._gather_until = time.monotonic() + GATHERING
                self._look_in(LOOK_AFTER)

    def _claim_up_to(self, room: int) -> int:
        number = self._claimer.claim(room)
        self._pace.claimed(number)
        self._refill_at = self._options.workers + self._pace.ahead // 2 - 1
        return number

    def _claim_suspect(self) -> bool:
        """Claim the next suspect; return False if it first needs a worker that can start it now."""
        if self._backlog.unfinished >= self._options.workers:
            return False
        if self._lease.is_valid and not self._is_exhausted():
            self._suspects_wait = False
            claimed = self._claimer.claim_suspect()
            self._suspect = claimed[0] if claimed else None
            self._claimer.hand_on(claimed)
        return True

    def _room(self) -> int:
        room = self._options.workers + self._pace.ahead - self._backlog.unfinished
        limit = self._options.max_tasks
        return room if limit is None else min(room, limit - self._claimer.kept)

    def _look(self) -> None:
        """Learn what there is to do, and when to look again."""
        was_idle = self._backlog.is_done and self._is_all_stored()
        found = self._read_agenda()
        if found.next_due is not None:
            self._look_in(found.next_due)
        if found.next_due == 0:
            with self._write_lock:
                lifecycle.promote(self._options.queues, PROMOTE_BATCH)
        if not found.registered:
            self._on_lost_lease()
        if found.dead_servers:
            self._on_dead_servers()
        is_more_expected = found.blocked and self._on_blocked()
        self._suspects_wait = found.suspects
        # What came back empty before may be due to queues that are not paused any more.
        self._came_back_empty &= not self._claimer.pass_over(found.paused)
        if found.suspects and self._suspect is None:
            self._alarm.work_is_ready()
        if (found.ready and not self._came_back_empty) or found.next_due == 0:
            self._alarm.work_is_ready()
        elif was_idle and not found.ready and not found.suspects and not is_more_expected:
            self._on_idle(time.monotonic() - self._busy_at)
        self._came_back_empty = False  # rows that others hold are tried again after a poll

    def _look_in(self, seconds: float) -> None:
        """Look at the agenda in so many seconds at the latest."""
        self._next_look = min(self._next_look, time.monotonic() + seconds)

    def _read_agenda(self) -> Agenda:
        self._alarm.look = False  # before the look, because a task may be put off during it
        try:
            found = agenda.look(self._lease.server_id, self._options.queues)
        except Exception:
            self._alarm.look = True
            raise
        self._next_look = time.monotonic() + self._options.poll_interval
        return found

    def _clear_backlog(self) -> None:
        """Set aside what waits behind slow tasks: another server may be idle, or be asked first."""
        if waiting := self._backlog.drain():
            self._pace.forget()
            self._unwanted.extend(waiting)

    def _release(self) -> None:
        """Give back what is not wanted, and what a claim took whose answer got lost."""
        if self._claimer.release_doubtful():
            self._alarm.ready = True
        if unwanted := list(self._unwanted):
            lifecycle.release(unwanted)
            for claimed in unwanted:
                self._unwanted.popleft()
                self._forget_suspect(claimed)
            self._claimer.kept -= len(unwanted)
            self._alarm.ready = True

        if postponed := list(self._postponed):
            lifecycle.postpone(postponed, PUT_OFF)
            for claimed in postponed:
                self._postponed.popleft()
                self._forget_suspect(claimed)
            self._claimer.kept -= len(postponed)

    def _forget_suspect(self, claimed: Claimed) -> bool:
        """Note that a task is no longer this server's; return whether it was its suspect."""
        was_suspect = claimed is self._suspect
        if was_suspect:
            self._suspect = None
        return was_suspect

    def _is_exhausted(self) -> bool:
        limit = self._options.max_tasks
        return limit is not None and self._claimer.kept >= limit
