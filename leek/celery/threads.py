"""The threads in which a process of Celery's runs leek's tasks."""

import itertools
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from leek.server.service import give_up_connections

Message = tuple[int, int, int]  # the task's id, the server that has claimed it, the claim's number


class Run:
    """What a message has led to, for the thread of Celery's that waits for it."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.over = threading.Event()
        self.began = time.monotonic()
        self._has_run = False
        self._error: BaseException | None = None

    def do(self, action: Callable[[Message], bool]) -> None:
        """Do in this thread what the message asks for."""
        try:
            self._has_run = action(self.message)
        except BaseException as error:  # noqa: BLE001 (it is raised where it is waited for)
            self._error = error

    def wait(self) -> bool:
        """Return whether a task was run, once that is over; raise what was raised."""
        self.over.wait()
        if self._error:
            raise self._error
        return self._has_run


class TaskThreads:
    """Does each run in a thread that it has for that; the thread that was last used comes first.

    Celery's own threads only wait. Celery closes their connections before and after each task, and
    in a pool of processes it raises its time limits and its stop in the main thread, wherever that
    is just then. There are as many threads as there were ever runs at a time.
    """

    def __init__(self, action: Callable[[Message], bool]) -> None:
        self._action = action
        self._lock = threading.Lock()
        self._idle: list[_TaskThread] = []
        self._going_on: dict[Run, _TaskThread] = {}
        self._numbers = itertools.count()
        self._has_ended = False

    def begin(self, message: Message) -> Run:
        """Have a message obeyed, and return what can be waited for."""
        run = Run(message)
        with self._lock:
            thread = self._going_on[run] = self._idle.pop() if self._idle else self._new_thread()
        thread.runs.put(run)
        return run

    def longest(self) -> float:
        """Return for how many seconds the oldest run goes on that is not over, 0 without any."""
        now = time.monotonic()
        with self._lock:
            return max((now - run.began for run in self._going_on), default=0.0)

    def end(self, seconds: float) -> None:
        """End the threads, and wait so long for each; one that runs a task ends after that."""
        with self._lock:
            self._has_ended = True
            idle, self._idle = self._idle, []
        for thread in idle:
            thread.runs.put(None)
        for thread in idle:
            thread.join(seconds)

    def _new_thread(self) -> "_TaskThread":
        thread = _TaskThread(next(self._numbers), self._action, self._rest)
        thread.start()
        return thread

    def _rest(self, run: Run) -> bool:
        """Have the thread of a run that is over wait for the next; tell if there may be one."""
        with self._lock:
            thread = self._going_on.pop(run)
            if not self._has_ended:
                self._idle.append(thread)
            return not self._has_ended


class _TaskThread(threading.Thread):
    """Does one run after the other, and calls `rest` between them."""

    def __init__(
        self,
        number: int,
        action: Callable[[Message], bool],
        rest: Callable[[Run], bool],
    ) -> None:
        super().__init__(name=f"leek-celery-{number}", daemon=True)
        self.runs: SimpleQueue[Run | None] = SimpleQueue()
        self._action = action
        self._rest = rest

    def run(self) -> None:
        """Do what comes until there is no more."""
        goes_on = True
        while goes_on and (run := self.runs.get()):
            run.do(self._action)
            goes_on = self._rest(run)  # before it is waited for no more: the next run is for it
            run.over.set()
        give_up_connections()
