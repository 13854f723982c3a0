"""The tasks that this server has claimed and not finished: Python's Queue, by priority."""

import threading
import time
from contextlib import suppress
from queue import Empty, PriorityQueue

from leek.outcome import Claimed

_Entry = tuple[int, int, Claimed | None]
_END: _Entry = (-1_000_000, 0, None)  # before any priority


class Backlog:
    """Takes claimed tasks from the dispatcher, and hands them to the workers, most urgent first.

    `last_moved` is when, by the monotonic clock, a worker took a task, or the first one came.
    """

    def __init__(self) -> None:
        self._queue: PriorityQueue[_Entry] = PriorityQueue()
        self._lock = threading.Lock()
        self._aside = 0
        self._ended = False
        self.last_moved = time.monotonic()

    def put(self, claimed: list[Claimed]) -> None:
        """Add tasks to be run."""
        if not self.waiting:
            self.last_moved = time.monotonic()
        for task in claimed:
            self._queue.put((-task.priority, task.id, task))

    def take(self) -> Claimed | None:
        """Wait for the next task and return it; None tells a worker to end."""
        entry = self._queue.get()
        if self._ended:
            self._put_back(entry)  # for the next worker, or for drain()
            return None
        self.last_moved = time.monotonic()
        return entry[2]

    def done(self) -> None:
        """Note that a worker is free again: the task that it took has ended, or runs aside."""
        self._queue.task_done()

    def set_aside(self) -> None:
        """Note, before `done`, that a task that was taken runs on without a worker."""
        with self._lock:
            self._aside += 1

    def done_aside(self) -> None:
        """Note that a task has ended that was set aside."""
        with self._lock:
            self._aside -= 1

    def drain(self) -> list[Claimed]:
        """Take out all tasks that no worker has taken."""
        entries = []
        with suppress(Empty):
            while True:
                entries.append(self._queue.get_nowait())
                self._queue.task_done()
        if _END in entries:
            self._queue.put(_END)
        return [claimed for _, _, claimed in entries if claimed is not None]

    def end(self) -> None:
        """Hand out nothing any more, and tell all workers to end."""
        self._ended = True
        self._queue.put(_END)

    @property
    def has_ended(self) -> bool:
        """Whether nothing is handed out any more."""
        return self._ended

    @property
    def waiting(self) -> int:
        """The number of tasks that no worker has taken."""
        return self._queue.qsize()

    @property
    def unfinished(self) -> int:
        """The number of tasks that wait for a worker or keep one busy."""
        return self._queue.unfinished_tasks

    @property
    def is_done(self) -> bool:
        """Whether nothing waits and nothing is being run, with a worker or without."""
        return not self._queue.unfinished_tasks and not self._aside

    def _put_back(self, entry: _Entry) -> None:
        self._queue.put(entry)
        self._queue.task_done()
