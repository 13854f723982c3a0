"""What is on while "the Worker is on": dispatcher, worker threads, recorder and heartbeat."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from django import db

from leek import leases, lifecycle
from leek.models import Servers
from leek.retry import RetryPolicy
from leek.server.backlog import Backlog
from leek.server.dispatcher import Dispatcher, Ears
from leek.server.executor import Executor
from leek.server.heartbeat import Heartbeat, Lease
from leek.server.notes import RunningNotes
from leek.server.pace import Pace
from leek.server.recorder import Recorder
from leek.server.service import Outage
from leek.server.worker import Line, Worker

LEAST_FLUSH = 1.0  # seconds that the recorder gets to store outcomes, whatever the deadline

logger = logging.getLogger("leek")


@dataclass(frozen=True)
class PoolOptions:
    """How a pool works; times are in seconds."""

    workers: int
    queues: list[str] | None
    policy: RetryPolicy
    max_crashes: int
    serializer_mode: str
    park_for: float
    poll_interval: float
    max_tasks: int | None = None


class WorkerPool:
    """Builds the threads that run tasks, starts them in order and stops them in reverse."""

    def __init__(
        self,
        options: PoolOptions,
        lease: Lease,
        outage: Outage,
        *,
        register: Callable[[], Servers],
        on_worker_end: Callable[[], None],
        on_idle: Callable[[], None],
        on_exhausted: Callable[[], None],
    ) -> None:
        self._lease = lease
        self._backlog = Backlog()
        self._notes = RunningNotes(lease.server.boot, options.workers)
        self._recorder = Recorder(outage, lease, on_put_off=lambda: self._dispatcher.look_soon())
        self._heartbeat = Heartbeat(
            outage, lease, register, options.max_crashes, on_rescue=self.hint
        )
        pace = Pace(options.workers)
        self._dispatcher = Dispatcher(
            outage,
            lease,
            self._backlog,
            pace,
            Ears(
                on_dead_servers=self._heartbeat.beat_soon,
                on_idle=lambda: on_idle() if self._recorder.is_idle else None,
                on_exhausted=on_exhausted,
            ),
            workers=options.workers,
            queues=options.queues,
            poll_interval=options.poll_interval,
            max_tasks=options.max_tasks,
        )
        line = Line(
            self._backlog,
            Executor(options.policy, options.serializer_mode, options.park_for),
            self._notes,
            pace,
            on_outcome=self._recorder.record,
            on_ended=self._dispatcher.task_ended,
        )
        self._workers = [
            Worker(outage, line, number, on_worker_end) for number in range(options.workers)
        ]

    def start(self) -> None:
        """Start all threads, the one that brings work last."""
        for service in (self._heartbeat, self._recorder, *self._workers, self._dispatcher):
            service.start()

    def hint(self) -> None:
        """Look for work now."""
        self._dispatcher.hint()

    @property
    def handled(self) -> int:
        """The attempts that ended since the start."""
        return self._recorder.handled

    @property
    def waiting(self) -> int:
        """The claimed tasks that no worker has begun."""
        return self._backlog.waiting

    @property
    def is_working(self) -> bool:
        """Whether a worker still runs."""
        return not all(worker.has_ended for worker in self._workers)

    def begin_stop(self, deadline: float) -> None:
        """Start nothing any more, and give back what waits; the running tasks go on."""
        self._dispatcher.stop()
        self._dispatcher.join(deadline - time.monotonic())
        waiting = self._backlog.drain()
        self._backlog.end(len(self._workers))
        try:
            lifecycle.release(self._lease.server_id, waiting)
        except db.Error as error:
            logger.warning("Waiting tasks are given back later: %s", error)

    def finish_stop(self, deadline: float) -> None:
        """Store the outcomes, give back what still runs, and end the lease."""
        self._recorder.stop()
        stored = self._recorder.join(max(deadline - time.monotonic(), LEAST_FLUSH))
        if not stored:
            logger.error("Some outcomes could not be stored in time: their tasks run again")
        for task_id in sorted(self._notes.running()):
            logger.warning("Task %s still runs at the deadline: it goes back to the queue", task_id)
        self._heartbeat.stop()
        try:
            lifecycle.release_all(self._lease.server_id)
            leases.resign(self._lease.server_id)
        except db.Error as error:
            logger.warning("This server's tasks are given back when its lease ends: %s", error)
        self._notes.remove()
