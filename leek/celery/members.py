"""What each process of a Celery worker is to leek, from its first task on."""

import os
import threading
from dataclasses import replace
from typing import Any

from leek import hinting
from leek.celery.member import Member
from leek.celery.threads import Message, Run, TaskThreads
from leek.conf import config
from leek.exceptions import LeekError
from leek.server.configured import pool_options
from leek.server.journal import journal
from leek.server.rescuer import rescue_dead_processes
from leek.server.service import give_up_connections

POOLS = "prefork (the default), threads or solo"
ALMOST = 0.9  # of a time limit, which Celery counts from another moment
LAST_MOMENT = 1.0  # seconds for each thread to end that runs no task

_processes: dict[int, "Process"] = {}  # by id, because one that is forked gets its parent's
_making = threading.Lock()
_worker: Any = None  # Celery's, of this process or of the one that has forked it


class UnsuitablePool(LeekError):
    """Celery's worker runs its tasks in greenlets."""

    def __init__(self, pool: str) -> None:
        super().__init__(
            f"leek's tasks cannot run in Celery's pool {pool}, whose tasks share one thread. Start"
            f" the worker with --pool {POOLS}."
        )


class ProcessEnds(LeekError):
    """A message has come to a process that is about to end."""

    def __init__(self) -> None:
        super().__init__(
            "This process of Celery's is about to end: it takes over no task any more. leek_server"
            " hands the task over again when its RELAY_TIMEOUT is over."
        )


def note_worker(worker: Any) -> None:
    """Note the worker that this process is, and whose children its tasks run in."""
    global _worker
    _worker = worker


def check_pool() -> None:
    """Raise UnsuitablePool where this process runs its tasks in greenlets."""
    for name in ("gevent", "eventlet"):
        if name in _pool():
            raise UnsuitablePool(name)


class Process:
    """Runs what messages name in threads of its own, and becomes a member for the first of them.

    While the database is away it goes on trying: the message waits, and with it Celery's thread.
    """

    def __init__(self) -> None:
        self._threads = TaskThreads(self._obey)
        self._joining = threading.Lock()
        self._deciding = threading.Lock()  # whether `leave` knows the member
        self._leaving = threading.Event()
        self._member: Member | None = None

    def begin(self, message: Message) -> Run:
        """Have a message obeyed, and return what can be waited for."""
        return self._threads.begin(message)

    def leave(self) -> None:
        """Be a member no more; a task that still runs goes back to the queue.

        But where Celery ends the process because that took too long, it crashes: else it would run
        again and again. Celery does so by the same signal, and kills in a moment what is left.
        """
        limit = has_processes() and _worker.time_limit  # in other pools there is none
        if limit and self._threads.longest() >= limit * ALMOST:
            journal.error("Celery ends this process at its time limit of %s s: it crashes", limit)
            return
        with self._deciding:
            self._leaving.set()
            member = self._member
        self._threads.end(LAST_MOMENT)
        if member:
            member.leave()

    def _obey(self, message: Message) -> bool:
        return self._joined().run(*message)

    def _joined(self) -> Member:
        """Return the member that this process is; raise ProcessEnds where it becomes none."""
        with self._joining:
            return self._member or self._join()

    def _join(self) -> Member:
        if self._leaving.is_set():
            raise ProcessEnds
        member = Member(_options(), config.LEASE, self._leaving)
        member.start()
        with self._deciding:
            if not self._leaving.is_set():
                self._member = member
        if self._member is None:
            member.leave()
            raise ProcessEnds
        journal.debug("This process of Celery's runs leek's tasks")
        return member


def begin(*message: int) -> Run:
    """Have a message obeyed by this process."""
    task_id, owner, claim = message
    with _making:
        if (process := _processes.get(os.getpid())) is None:
            check_pool()
            process = _processes[os.getpid()] = Process()
    return process.begin((task_id, owner, claim))


def has_processes() -> bool:
    """Tell whether the worker has processes for its tasks."""
    return "prefork" in _pool()


def rescue_predecessors() -> None:
    """Give back what the processes left that Celery's worker has lost; no task waits for this."""
    threading.Thread(target=_rescue, name="leek-rescue", daemon=True).start()


def _rescue() -> None:
    try:
        if rescue_dead_processes(config.MAX_CRASHES):
            hinting.hint()
    except Exception as error:  # noqa: BLE001 (other servers do so when the lease is over)
        journal.debug("What Celery's dead processes left is rescued later: %s", error)
    finally:
        give_up_connections()


def leave() -> None:
    """Have this process be a member no more."""
    with _making:
        if process := _processes.pop(os.getpid(), None):
            process.leave()


def _options() -> Any:
    """Return what the settings say of a pool, but for what only a `leek_server` does."""
    return replace(pool_options({}), workers=_places(), queues=None, schedules=(), purge_after=None)


def _places() -> int:
    """Return how many tasks run at a time in this process."""
    return int(_worker.concurrency) if "thread" in _pool() else 1


def _pool() -> str:
    """Return where the class of the worker's pool is, or its name."""
    pool = getattr(_worker, "pool_cls", "")
    return pool if isinstance(pool, str) else str(pool.__module__)
