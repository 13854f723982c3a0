"""Builds the parts of the server, starts them in order, stops them in reverse."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from django import db

from leek import leases
from leek.database import close_connections, refresh_connections
from leek.models import Servers
from leek.retry import backoff
from leek.server.heartbeat import Lease, rescue_predecessors
from leek.server.listener import Listener
from leek.server.mailbox import Mailbox, Request
from leek.server.pool import PoolOptions, WorkerPool
from leek.server.service import FIRST_PAUSE, LONGEST_PAUSE, Outage
from leek.server.shutdown import on_stop_signals

logger = logging.getLogger("leek")


@dataclass(frozen=True)
class ServerOptions:
    """Where the server listens and when it stops by itself; times are in seconds."""

    host: str
    port: int
    lease: float
    shutdown_timeout: float
    drain: bool = False
    idle_timeout: float | None = None


class Supervisor:
    """Runs in the main thread: it waits for requests, and acts on them one after the other."""

    def __init__(self, options: ServerOptions, pool_options: PoolOptions) -> None:
        self._listener = Listener(options.host, options.port, self)
        self._options = options
        self._pool_options = pool_options
        self._mailbox = Mailbox()
        self._outage = Outage()
        self._pool: WorkerPool | None = None
        self._stopped_pool: WorkerPool | None = None
        self._worker_off = threading.Event()
        self._stop_requested = False
        self._signals = 0
        self._idle_since: float | None = None

    def run(self, on_ready: Callable[[str, int], None]) -> bool:
        """Serve until a stop is asked for; call `on_ready` with address and port when working.

        Return whether all tasks ended: a thread may still run one that was given back.
        """
        with on_stop_signals(self._signalled, self._mailbox.wakeup_fd):
            self._listener.start()
            try:
                self._start_pool()
                if self._pool is not None:
                    on_ready(self._options.host, self._listener.port)
                while not self._stop_requested:
                    if self._next_request() is Request.STOP_WORKER:
                        self._stop_pool()
                self._stop_pool()
            finally:
                self._listener.stop()
                self._mailbox.close()
                close_connections()
        return self._stopped_pool is None or not self._stopped_pool.is_working

    # What the socket's commands and the pool's threads call

    @property
    def worker_on(self) -> bool:
        """Whether tasks are run."""
        return self._pool is not None

    @property
    def handled(self) -> int:
        """The attempts that ended since the Worker started."""
        return self._pool.handled if self._pool else 0

    @property
    def claimed_waiting(self) -> int:
        """The claimed tasks that no worker has begun."""
        return self._pool.waiting if self._pool else 0

    def hint(self) -> None:
        """Look for work now."""
        if pool := self._pool:
            self._idle_since = None
            pool.hint()

    def stop_worker(self) -> None:
        """Stop the Worker, and return when it is off."""
        self._mailbox.put(Request.STOP_WORKER)
        self._worker_off.wait()

    def stop(self) -> None:
        """Stop the Worker, then the server; return when the Worker is off."""
        self._mailbox.put(Request.STOP)
        self._worker_off.wait()

    def _signalled(self) -> None:
        self._signals += 1
        self._mailbox.put(Request.STOP if self._signals == 1 else Request.STOP_NOW)

    def _idle(self) -> None:
        """Stop if this is what --drain or --idle-timeout wait for."""
        now = time.monotonic()
        if self._idle_since is None:
            self._idle_since = now
        limit = self._options.idle_timeout
        if self._options.drain or (limit is not None and now - self._idle_since >= limit):
            self._mailbox.put(Request.STOP)

    # Starting

    def _start_pool(self) -> None:
        """Start the Worker, as soon as the database is there, unless a stop is asked for first."""
        failures = 0
        while not self._stop_requested and self._pool is None:
            try:
                self._try_to_start_pool()
            except db.Error as error:
                self._say_why_not_started(error, first=failures == 0)
                failures += 1
                pause = backoff(failures, FIRST_PAUSE, LONGEST_PAUSE)
                if self._next_request(pause) is Request.STOP_WORKER:
                    self._worker_off.set()
                    return
            else:
                self._outage.over("start")

    def _say_why_not_started(self, error: Exception, *, first: bool) -> None:
        self._outage.hit("start", error)
        refresh_connections()
        with suppress(db.Error):
            if first and not leases.can_register():
                logger.error("leek's tables are missing: run manage.py migrate")

    def _try_to_start_pool(self) -> None:
        asked_at = time.monotonic()
        server = self._register()
        rescue_predecessors(server, self._pool_options.max_crashes)
        pool = WorkerPool(
            self._pool_options,
            Lease(server, self._options.lease, asked_at),
            self._outage,
            register=self._register,
            on_worker_end=lambda: self._mailbox.put(Request.WORKER_ENDED),
            on_idle=self._idle,
            on_exhausted=lambda: self._mailbox.put(Request.STOP),
        )
        pool.start()
        self._pool = pool

    def _register(self) -> Servers:
        return leases.register(
            address=self._listener.address,
            port=self._listener.port,
            workers=self._pool_options.workers,
            queues=self._pool_options.queues,
            seconds=self._options.lease,
        )

    # Stopping

    def _next_request(self, timeout: float | None = None) -> Request | None:
        """Wait for a request, up to `timeout` seconds, and remember one to stop."""
        request = self._mailbox.get(timeout)
        if request in (Request.STOP, Request.STOP_NOW):
            self._stop_requested = True
        return request

    def _stop_pool(self) -> None:
        """Let the running tasks end until the deadline, or until a second signal."""
        pool, self._pool = self._pool, None
        if pool is not None:
            self._stopped_pool = pool
            logger.info("Stopping: running tasks have %s s", self._options.shutdown_timeout)
            deadline = time.monotonic() + self._options.shutdown_timeout
            pool.begin_stop(deadline)
            while pool.is_working and time.monotonic() < deadline:
                if self._next_request(deadline - time.monotonic()) is Request.STOP_NOW:
                    deadline = time.monotonic()
            pool.finish_stop(deadline)
            logger.info("Worker off, %s attempts handled", pool.handled)
        self._worker_off.set()
