"""What is on while "the Worker is on": dispatcher, Workers, event loop, recorder ..."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from leek.database import write_lock
from leek.models import Servers, queue_database
from leek.outcome import Outcome
from leek.server.alarm import Alarm
from leek.server.announcer import Announcer
from leek.server.attendants import Attendants
from leek.server.backlog import Backlog
from leek.server.cancelling import Cancellations
from leek.server.claimer import Claimer
from leek.server.coroutines import Coroutines
from leek.server.dispatcher import Dispatcher
from leek.server.forwarder import Forwarder
from leek.server.heartbeat import Lease
from leek.server.isolation import ChildLimits, Isolation
from leek.server.journal import journal
from leek.server.notes import RunningNotes
from leek.server.options import ClaimOptions, PoolOptions, executor_of
from leek.server.pace import Pace
from leek.server.recorder import Recorder
from leek.server.registration import Resignation
from leek.server.service import Outage, Taker
from leek.server.worker import Shared, Worker

LAST_MOMENT = 0.5  # seconds to store outcomes, and again to resign, whatever the deadline


class WorkerPool:
    """Builds the threads that run tasks, starts them in order and stops them in reverse.

    A subclass may have others take the tasks than Workers.
    """

    def __init__(
        self,
        options: PoolOptions,
        lease: Lease,
        outage: Outage,
        forwarder: Forwarder,
        *,
        register: Callable[[], Servers],
        on_stored: Callable[[Sequence[Outcome]], None],
        on_part_end: Callable[[], None],
        on_idle: Callable[[float], None],
        on_room: Callable[[], None],
        on_exhausted: Callable[[], None],
    ) -> None:
        self._outage = outage
        self._forwarder = forwarder
        self._lease = lease
        self._alarm = Alarm()
        self._backlog = Backlog(options.queues if isinstance(options.queues, dict) else {})
        self._pace = self._build_pace(options)
        self._notes = RunningNotes(lease.server.boot, options.workers + options.async_limit)
        self._on_part_end = on_part_end
        self._on_stored = on_stored
        self._write_lock = write_lock(queue_database())
        self._attendants = Attendants(
            options,
            lease,
            outage,
            self._alarm,
            self._write_lock,
            register,
            self._notes.running,
            on_rows=self.hint,
        )
        self._announcer = Announcer(outage, on_part_end)
        self._recorder = Recorder(
            outage,
            lease,
            self._alarm,
            self._write_lock,
            on_settled=self._attendants.admission.settled,
            on_stored=self._stored,
            on_end=self._recorder_ended,
        )
        self._dispatcher = self._build_dispatcher(options, on_idle, on_room, on_exhausted)
        self._cancellations = Cancellations(
            self._backlog, self._recorder.take, self._dispatcher.task_ended
        )
        shared = self._share(options)
        self._coroutines = Coroutines(
            outage,
            shared,
            self._recorder,
            options.async_limit,
            first_place=options.workers,
            on_end=self._runner_ended,
        )
        self._workers = self._build_workers(options, shared)

    def _build_pace(self, options: PoolOptions) -> Pace:
        return Pace(options.workers)

    def _places(self, options: PoolOptions) -> int:
        """Return for how many tasks at a time is claimed, however long these take."""
        return options.workers

    def _build_claimer(self, *args: Any) -> Claimer:
        return Claimer(*args)

    def _build_dispatcher(
        self,
        options: PoolOptions,
        on_idle: Callable[[float], None],
        on_room: Callable[[], None],
        on_exhausted: Callable[[], None],
    ) -> Dispatcher:
        attendants = self._attendants
        return Dispatcher(
            self._outage,
            ClaimOptions(
                self._places(options),
                options.queues,
                options.poll_interval,
                None if options.isolate else options.max_tasks,
            ),
            self._lease,
            self._backlog,
            self._pace,
            self._alarm,
            self._write_lock,
            self._forwarder,
            build_claimer=self._build_claimer,
            is_all_stored=lambda: attendants.scheduler.has_looked and self._recorder.is_all_stored,
            on_dead_servers=attendants.rescuer.wake,
            on_blocked=attendants.gatekeeper.expects_more,
            on_lost_lease=attendants.heartbeat.wake,
            on_idle=on_idle,
            on_room=on_room,
            on_exhausted=on_exhausted,
            on_end=self._on_part_end,
        )

    def _share(self, options: PoolOptions) -> Shared:
        return Shared(
            self._lease,
            executor_of(options, self._attendants.progress.note),
            self._attendants.admission,
            self._write_lock,
            options.isolate,
            self._notes,
            on_outcome=self._recorder.record,
            give_back=self._dispatcher.give_back,
            put_off=self._dispatcher.put_off,
            cancellations=self._cancellations,
            backlog=self._backlog,
            pace=self._pace,
            on_ended=self._dispatcher.task_ended,
        )

    def _build_workers(self, options: PoolOptions, shared: Shared) -> Sequence[Taker]:
        limits = ChildLimits(options.max_tasks, options.max_memory) if options.isolate else None
        return [
            Worker(
                self._outage,
                shared,
                Isolation(shared.executor, shared.admission, limits or ChildLimits()),
                self._coroutines.run,
                number,
                self._runner_ended,
            )
            for number in range(options.workers)
        ]

    def _stored(self, outcomes: Sequence[Outcome]) -> None:
        self._on_stored(outcomes)
        self._attendants.monitor.count(outcomes)
        self._announcer.take(outcomes)

    def _runner_ended(self) -> None:
        if not self.is_working:
            self._recorder.stop()
        self._on_part_end()

    def _recorder_ended(self) -> None:
        self._announcer.stop()
        self._on_part_end()

    def start(self) -> None:
        """Start all threads, the one that brings work last."""
        self._attendants.start()
        for service in (
            self._recorder,
            self._coroutines,
            *self._workers,
            self._dispatcher,
        ):
            service.start()

    def hint(self) -> None:
        """Look for work now, and have siblings look that serve other queues."""
        self._alarm.work_is_ready()
        if self._dispatcher.can_claim:
            self._forwarder.hinted()
        else:
            self._forwarder.cannot_start()

    def offer(self) -> bool:
        """Look for work now, or as soon as there is room; return whether that is now."""
        has_room = self._dispatcher.has_room  # before the work that there is takes it
        self._alarm.work_is_offered()
        return has_room

    def reconsider(self) -> None:
        """Give back what waits here, if a sibling can start it sooner."""
        self._alarm.ring()

    def cancel(self, task_id: int) -> bool:
        """Cancel a claimed task where that is possible; return whether it is."""
        return self._cancellations.cancel(task_id)

    @property
    def handled(self) -> int:
        """The attempts that ended since the start."""
        return self._recorder.handled

    @property
    def waiting(self) -> int:
        """The claimed tasks that nothing has begun."""
        return self._backlog.waiting + self._coroutines.waiting

    @property
    def is_working(self) -> bool:
        """Whether a worker or the event loop still runs."""
        return not all(part.has_ended for part in (*self._workers, self._coroutines))

    @property
    def has_ended(self) -> bool:
        """Whether nothing runs any more, and all is stored, given back and told."""
        parts = (self._recorder, self._announcer, self._dispatcher)
        return not self.is_working and all(part.has_ended for part in parts)

    def begin_stop(self) -> None:
        """Start nothing any more, and give back what waits; the running tasks go on."""
        self._attendants.begin_stop()
        self._backlog.end()
        self._dispatcher.stop()
        self._coroutines.stop()
        for worker in self._workers:
            worker.stop_waiting()

    def finish_stop(self, deadline: float) -> None:
        """Store the outcomes, give back what still runs, and end the lease.

        Whatever the database does, this takes little longer than until the deadline.
        """
        end = max(deadline, time.monotonic() + LAST_MOMENT)
        self._dispatcher.join(end - time.monotonic())
        self._end_recording(end)
        crashed = self._recorder.unstored_crashes
        self._abandon_runs(end, crashed)
        self._attendants.stop()
        self._attendants.monitor.join(end - time.monotonic())
        if not crashed and self._resign(end):
            self._notes.remove()
        else:  # the notes stay, and tell what has crashed
            journal.warning("This server's tasks are given back when its lease is over")
        self._attendants.join(LAST_MOMENT)

    def _end_recording(self, deadline: float) -> None:
        """Store the outcomes that there are, and tell receivers of them."""
        self._recorder.stop()
        if not self._recorder.join(deadline - time.monotonic()):
            journal.error("Some outcomes could not be stored in time: their tasks run again")
        self._announcer.join(deadline - time.monotonic())
        self._announcer.abandon()

    def _abandon_runs(self, deadline: float, crashed: list[int]) -> None:
        """End what still runs, before another server may run what is given back."""
        for task_id in sorted(self._notes.running().difference(crashed)):
            journal.warning(
                "Task %s still runs at the deadline: it goes back to the queue", task_id
            )
        self._coroutines.abandon()
        for worker in self._workers:
            worker.abandon()
        self._coroutines.join(deadline - time.monotonic())
        self._notes.keep(crashed)

    def _resign(self, deadline: float) -> bool:
        """End the lease; return whether the database has taken it."""
        resignation = Resignation(self._outage, self._lease.server_id)
        resignation.start()
        resignation.join(max(deadline - time.monotonic(), LAST_MOMENT))
        if resignation.has_given_back:
            self._forwarder.cannot_start()
        return resignation.is_accepted
