"""Claims ready rows into the backlog; sleeps until a hint, a due time or the fallback poll."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from leek import agenda, lifecycle
from leek.agenda import Agenda
from leek.outcome import Claimed
from leek.server.alarm import Alarm
from leek.server.backlog import Backlog
from leek.server.claimer import Claimer
from leek.server.forwarder import Forwarder
from leek.server.heartbeat import Lease
from leek.server.options import ClaimOptions
from leek.server.pace import Pace
from leek.server.returns import Returns
from leek.server.room import Room
from leek.server.service import Outage, Service, distrust_after
from leek.server.suspects import Suspects
from leek.server.timetable import Timetable

PROMOTE_BATCH = 1000
HELD_UP = 0.2  # seconds, from which on the database seems not to answer


class Dispatcher(Service):
    """Takes ready rows from the database and hands them on to the backlog; never runs a task.

    It claims no more than the workers can start soon, and gives back what they do not get to. That
    there is more the siblings are told.
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
        forwarder: Forwarder,
        *,
        build_claimer: Callable[..., Claimer] = Claimer,
        is_all_stored: Callable[[], bool],
        on_dead_servers: Callable[[], None],
        on_blocked: Callable[[], bool],
        on_lost_lease: Callable[[], None],
        on_idle: Callable[[float], None],
        on_room: Callable[[], None],
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
        self._forwarder = forwarder
        self._claimer = build_claimer(lease, options.queues, backlog, write_lock)
        self._room = Room(options, backlog, pace, self._claimer, forwarder)
        self._suspects = Suspects(self._claimer)
        self._returns = Returns(self._claimer, self._suspects.forget)
        self._is_all_stored = is_all_stored
        self._on_dead_servers = on_dead_servers
        self._on_blocked = on_blocked
        self._on_lost_lease = on_lost_lease
        self._on_idle = on_idle
        self._on_room = on_room
        self._on_exhausted = on_exhausted
        self._came_back_empty = False
        self._timetable = Timetable(options.poll_interval)
        self._acting_since: float | None = None
        self._busy_at = time.monotonic()

    def stop(self) -> None:
        """End the loop at once."""
        super().stop()
        self._alarm.ring()

    def task_ended(self, claimed: Claimed) -> None:
        """Claim more if it is time: a task has ended, or does not need a worker any more."""
        self._busy_at = time.monotonic()
        self.suspect_is_elsewhere(claimed)
        if self._claimer.left(claimed):
            self._alarm.work_is_ready()
        if self._room.is_time_to_refill and (self._alarm.ready or self._room.is_exhausted):
            self._alarm.ring()
        self._tell_of_room()

    def suspect_is_elsewhere(self, claimed: Claimed) -> None:
        """Claim the next suspect, if this is the one that it waits for: that runs elsewhere."""
        if self._suspects.forget(claimed):
            self._alarm.agenda_changed()

    def give_back(self, claimed: Claimed) -> None:
        """Give a task back to the queue that a worker may not run any more."""
        self._returns.give_back([claimed])
        self._alarm.ring()

    def put_off(self, claimed: Claimed) -> None:
        """Give a task back that nothing could be had for to run it; it is due again in a while."""
        self._returns.put_off(claimed)
        self._alarm.ring()

    @property
    def can_claim(self) -> bool:
        """Whether nothing is known that keeps this server from claiming, but that it is busy."""
        since = self._acting_since
        is_held_up = since is not None and time.monotonic() > since + HELD_UP
        may_claim = self._lease.is_valid and not self.stopping.is_set()
        return may_claim and not self._failures and not is_held_up

    @property
    def has_room(self) -> bool:
        """Whether a ready task would be claimed, and begun, now."""
        return self._room.has_free_worker and self.can_claim and not self._room.is_exhausted

    def run_once(self) -> None:
        """Sleep until there may be something to do, and do it."""
        self._sleep()
        if self.stopping.is_set():
            return
        self._acting_since = time.monotonic()
        try:
            self._act()
        finally:
            self._acting_since = None
            self._forward()

    def _sleep(self) -> None:
        fell_asleep = time.monotonic()
        self._alarm.wait(0.0 if self._alarm.look else self._next_turn - fell_asleep)
        self._gather_hints()
        distrust_after(fell_asleep)

    def _act(self) -> None:
        if time.monotonic() >= self._room.stalled_at:
            self._clear_backlog()
        self._release()
        self._claim()
        if self._room.is_exhausted and self._backlog.is_done:
            self._on_exhausted()
        if self._alarm.look or self._timetable.is_time_to_look:
            self._look()

    def finish(self) -> None:
        """Give back what no worker has begun."""
        self._clear_backlog()
        self._release()
        if self._alarm.ready:
            self._forwarder.cannot_start()

    @property
    def _next_turn(self) -> float:
        next_look = self._timetable.next_look
        return min(next_look, self._room.stalled_at) if self._backlog.waiting else next_look

    def _gather_hints(self) -> None:
        """Wait a moment where tasks come one by one, so that several of them take one claim."""
        if self._alarm.ready and (left := self._timetable.left_to_gather) > 0:
            self.stopping.wait(left)

    def _claim(self) -> None:
        """Claim as many as there is room for, as long as there may be more.

        For the few tasks that end during a claim there is no other one before it is time to refill.
        """
        if self._suspects.is_next_due and not self._claim_suspect():
            return
        while self._alarm.ready and self._lease.is_valid and (room := self._room.size) > 0:
            self._alarm.nothing_is_ready()  # before the claim, because a hint may come during it
            try:
                number = self._claim_up_to(room)
            except Exception:
                self._alarm.more_is_ready()
                raise
            self._came_back_empty = not number
            if number == room:
                self._alarm.more_is_ready()
                if not self._room.is_time_to_refill:
                    break
            else:
                self._timetable.claimed_all()
        self._tell_of_room()

    def _claim_up_to(self, room: int) -> int:
        began = time.monotonic()
        number = self._claimer.claim(room)
        self._room.claimed(number, time.monotonic() - began)
        return number

    def _claim_suspect(self) -> bool:
        """Claim the next suspect; return False if it first needs a worker that can start it now."""
        if not self._room.has_place_for_suspect:
            return False
        if self._lease.is_valid and not self._room.is_exhausted:
            self._suspects.claim()
            if self._alarm.ready:  # an offer may have been taken for the worker that runs this one
                self._alarm.more_is_ready()
        return True

    def _tell_of_room(self) -> None:
        """Tell those who may have more for this server, if it has nothing to do."""
        if not self._alarm.ready and self._room.has_free_worker:
            self._on_room()

    def _forward(self) -> None:
        """Have siblings told of what is ready and cannot be claimed now."""
        if self._alarm.ready and self._alarm.unforwarded:
            self._alarm.unforwarded = False
            self._forwarder.surplus()
            if not self._forwarder.has_siblings:
                self._timetable.look_for_siblings()

    def _look(self) -> None:
        """Learn what there is to do, and when to look again."""
        was_idle = self._backlog.is_done and self._is_all_stored()
        found = self._read_agenda()
        self._forwarder.found_siblings(found.siblings)
        is_any_due = found.next_due == 0
        if is_any_due and not self._promote():
            self._timetable.left_what_is_due()
        if not found.registered:
            self._on_lost_lease()
        if found.dead_servers:
            self._on_dead_servers()
        is_more_expected = found.blocked and self._on_blocked()
        self._suspects.seen(any_wait=found.suspects)
        # What came back empty before may be due to queues that are not paused any more.
        self._came_back_empty &= not self._claimer.pass_over(found.paused)
        if self._suspects.is_next_due:
            self._alarm.work_is_ready()
        if (found.ready or is_any_due) and not self._came_back_empty:
            self._alarm.work_is_ready()
        elif was_idle and not (found.ready or is_any_due or found.suspects or is_more_expected):
            self._on_idle(time.monotonic() - self._busy_at)
        self._came_back_empty = False  # rows that others hold are tried again after a poll

    def _promote(self) -> bool:
        """Make ready what is due; return whether that was any task."""
        with self._write_lock:
            number = lifecycle.promote(self._options.queues, PROMOTE_BATCH)
        self._came_back_empty &= not number
        return number > 0

    def _read_agenda(self) -> Agenda:
        self._alarm.look = False  # before the look, because a task may be put off during it
        try:
            found = agenda.look(self._lease.server_id, self._options.queues)
        except Exception:
            self._alarm.look = True
            raise
        self._timetable.looked(found.next_due, has_siblings=found.siblings)
        return found

    def _clear_backlog(self) -> None:
        """Set aside what waits behind slow tasks: another server may be idle, or be asked first."""
        if waiting := self._backlog.drain():
            self._pace.forget()
            self._returns.give_back(waiting)

    def _release(self) -> None:
        """Give back what is not wanted: it may be claimed again."""
        if self._returns.store():
            self._alarm.more_is_ready()
