"""Builds the parts of the server, starts them in order, stops them in reverse."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from uuid import uuid4

from leek import leases
from leek.database import impatient_connections, thrifty_connections, watched_links
from leek.models import Servers, queue_database
from leek.places import Place
from leek.server.forwarder import Forwarder
from leek.server.journal import journal
from leek.server.listening import listener_at
from leek.server.mailbox import Mailbox, Request
from leek.server.options import PoolOptions
from leek.server.pool import LAST_MOMENT, WorkerPool
from leek.server.registration import Registration, Resignation
from leek.server.service import Outage
from leek.server.shutdown import on_stop_signals
from leek.server.systemd import Systemd


@dataclass(frozen=True)
class ServerOptions:
    """Where the server may listen and when it stops by itself; times are in seconds."""

    places: Sequence[Place]
    lease: float
    shutdown_timeout: float
    drain: bool = False
    idle_timeout: float | None = None


class Supervisor:
    """Runs in the main thread: it waits for requests, and acts on them one after the other.

    It never waits for the database, so that nothing keeps it from acting on a signal. The pool that
    it makes is what becomes of the tasks: they are run, or left to others to run.
    """

    def __init__(
        self,
        options: ServerOptions,
        pool_options: PoolOptions,
        make_pool: Callable[..., WorkerPool] = WorkerPool,
    ) -> None:
        self._listener = listener_at(options.places, self)
        self._options = options
        self._pool_options = pool_options
        self._make_pool = make_pool
        self._mailbox = Mailbox()
        self._boot = uuid4()
        self._systemd = Systemd(os.environ)
        self._outage = Outage()
        self._registration = Registration(
            self._outage,
            self._register,
            options.lease,
            pool_options.max_crashes,
            on_end=lambda: self._mailbox.put(Request.START_WORKER),
        )
        self._forwarder = Forwarder(
            self._outage, self._boot, pool_options.queues, on_idle=self._reconsider
        )
        self._pool: WorkerPool | None = None
        self._worker_is_on = False
        self._worker_off = threading.Event()
        self._stop_requested = False
        self._signals = 0

    def run(self, on_ready: Callable[[str, int], None], *, ends_process: bool = False) -> bool:
        """Serve until a stop is asked for; call `on_ready` with address and port when working.

        `ends_process` tells that the process ends with the server. Return whether all Workers
        ended: one may still run a task that was given back.
        """
        signals = on_stop_signals(
            self._signalled, self._mailbox.wakeup_fd, ends_process=ends_process
        )
        alias = queue_database()
        with (
            closing(self._mailbox),
            signals,
            watched_links(self._options.lease),
            thrifty_connections(alias),
            impatient_connections(alias),
        ):
            self._listener.start()
            self._registration.start()
            try:
                while not self._stop_requested:
                    match self._next_request():
                        case Request.START_WORKER:
                            self._start_pool(on_ready)
                        case Request.STOP_WORKER:
                            self._stop_worker()
            finally:
                self._stop_pool()
                self._listener.stop()
                if self._forwarder.has_siblings:
                    self._forwarder.cannot_start()  # what hints told of that came too late
                self._forwarder.stop()
                self._forwarder.join(LAST_MOMENT)
        return self._pool is None or not self._pool.is_working

    # What the socket's commands and the pool's threads call

    @property
    def worker_on(self) -> bool:
        """Whether tasks are run."""
        return self._worker_is_on

    @property
    def handled(self) -> int:
        """The attempts that ended since the Worker started."""
        return self._pool.handled if self._pool else 0

    @property
    def claimed_waiting(self) -> int:
        """The claimed tasks that no worker has begun."""
        return self._pool.waiting if self._pool else 0

    def hint(self) -> None:
        """Look for work now, or have siblings do so."""
        if pool := self._working_pool:
            pool.hint()
        else:
            self._forwarder.cannot_start()

    def offer(self) -> bool:
        """Look for work now, or where there is no room for it when there is; return which."""
        pool = self._working_pool
        return pool is not None and pool.offer()

    def cancel(self, task_id: int) -> bool:
        """Cancel a task that this server has claimed, where that is possible."""
        pool = self._pool
        return pool is not None and pool.cancel(task_id)

    def stop_worker(self) -> None:
        """Stop the Worker, and return when it is off."""
        self._mailbox.put(Request.STOP_WORKER)
        self._worker_off.wait()

    def stop(self) -> None:
        """Stop the Worker, then the server; return when the Worker is off."""
        self._mailbox.put(Request.STOP)
        self._worker_off.wait()

    def ask_to_stop(self, *, now: bool = False) -> None:
        """Stop the Worker, then the server, or do so `now`, without waiting for it."""
        self._mailbox.put(Request.STOP_NOW if now else Request.STOP)

    def _signalled(self) -> None:
        self._signals += 1
        self.ask_to_stop(now=self._signals > 1)

    @property
    def _working_pool(self) -> WorkerPool | None:
        return self._pool if self._worker_is_on else None

    def _reconsider(self) -> None:
        if pool := self._working_pool:
            pool.reconsider()

    def _idle(self, seconds: float) -> None:
        """Stop if this is what --drain or --idle-timeout wait for."""
        limit = self._options.idle_timeout
        if self._options.drain or (limit is not None and seconds >= limit):
            self._mailbox.put(Request.STOP)

    def _register(self) -> Servers:
        return leases.register(
            address=self._listener.address,
            port=self._listener.port,
            workers=self._pool_options.workers,
            queues=self._pool_options.queues,
            seconds=self._options.lease,
            boot=self._boot,
        )

    # What the main thread does

    def _next_request(self, timeout: float | None = None) -> Request | None:
        """Wait for a request, up to `timeout` seconds, and remember one to stop.

        Return None sooner when it is time for another sign of life.
        """
        self._systemd.alive()
        limits = [limit for limit in (timeout, self._systemd.interval) if limit is not None]
        request = self._mailbox.get(min(limits, default=None))
        if request in (Request.STOP, Request.STOP_NOW):
            self._stop_requested = True
            self._systemd.stopping()
        return request

    def _start_pool(self, on_ready: Callable[[str, int], None]) -> None:
        """Start the Worker, now that this server is registered."""
        if self._registration.lease is None or self._worker_off.is_set():
            return
        self._pool = self._make_pool(
            self._pool_options,
            self._registration.lease,
            self._outage,
            self._forwarder,
            register=self._register,
            on_stored=self._listener.stored,
            on_part_end=lambda: self._mailbox.put(Request.PART_ENDED),
            on_idle=self._idle,
            on_room=self._listener.found_no_more,
            on_exhausted=lambda: self._mailbox.put(Request.STOP),
        )
        self._worker_is_on = True  # before it claims, because hints and offers may come meanwhile
        self._pool.start()
        on_ready(self._listener.host, self._listener.port)
        self._systemd.ready(f"Running tasks, listening at port {self._listener.port}")

    def _stop_worker(self) -> None:
        """Stop the Worker alone; before it was on, this ends the server's start."""
        self._stop_pool()
        if not self._stop_requested:
            self._systemd.ready("Worker off, as leek_stop asked")

    def _stop_pool(self) -> None:
        """Let the running tasks end until the deadline, or until a second signal."""
        self._registration.stop()
        if self._worker_is_on and (pool := self._pool):
            self._worker_is_on = False
            deadline = time.monotonic() + self._options.shutdown_timeout
            pool.begin_stop()  # before that is said, as who reads it relies on it
            journal.info("Stopping: running tasks have %s s", self._options.shutdown_timeout)
            while not pool.has_ended and time.monotonic() < deadline:
                if self._next_request(deadline - time.monotonic()) is Request.STOP_NOW:
                    deadline = time.monotonic()
            pool.finish_stop(deadline)
            journal.info("Worker off, %s attempts handled", pool.handled)
        elif not self._worker_off.is_set():
            self._resign()
        self._worker_off.set()

    def _resign(self) -> None:
        """End the lease, if there is one already, of a server whose Worker was never on."""
        self._registration.join(LAST_MOMENT)
        if lease := self._registration.lease:
            resignation = Resignation(self._outage, lease.server_id)
            resignation.start()
            resignation.join(LAST_MOMENT)
