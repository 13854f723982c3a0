"""The tasks that this server has claimed and not finished: Python's Queue, by priority."""

import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from queue import Empty

from leek.outcome import Claimed
from leek.server.lanes import Entry, LaneQueue

_END: Entry = (-1_000_000, 0, None, None)  # before any priority
_NO_WEIGHTS: Mapping[str, int] = {}


class Backlog:
    """Takes claimed tasks from the dispatcher, and hands them to the workers, most urgent first.

    With weights it has a lane for each, and what is taken is shared between them; the most urgent
    of its lane is first.
    `last_moved` is when, by the monotonic clock, a worker took a task, or the first one came.
    """

    def __init__(self, weights: Mapping[str, int] = _NO_WEIGHTS) -> None:
        self._queue = LaneQueue(weights)
        self._lock = threading.Lock()
        self._aside = 0
        self._ended = False
        self.last_moved = time.monotonic()

    def put(self, claimed: list[Claimed], lane: str | None = None) -> None:
        """Add tasks to be run; without a lane they are before those of all lanes."""
        if not self.waiting:
            self.last_moved = time.monotonic()
        for task in claimed:
            self._queue.put((-task.priority, task.id, task, lane))

    def split(self, number: int, lanes: Iterable[str]) -> dict[str, int]:
        """Return how many of the tasks that there is room for each of these lanes should get."""
        return self._queue.split(number, lanes)

    def take(self, patience: float | None = None) -> Claimed | None:
        """Wait for the next task and return it; None tells a worker to end.

        Raise `queue.Empty` where there is none for so many seconds.
        """
        entry = self._queue.get(timeout=patience)
        if self._ended:
            self._put_back(entry)  # for the next worker, or for drain()
            return None
        self.last_moved = time.monotonic()
        return entry[2]

    def take_more(self, limit: int) -> list[Claimed]:
        """Return up to so many further tasks, without waiting for any."""
        taken: list[Claimed] = []
        with suppress(Empty):
            while len(taken) < limit and not self._ended:
                entry = self._queue.get_nowait()
                if entry[2] is None:
                    self._put_back(entry)
                    break
                taken.append(entry[2])
                self.last_moved = time.monotonic()
        return taken

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
        entries = self._queue.clear()
        if _END in entries:
            self._queue.put(_END)
        return [claimed for _, _, claimed, _ in entries if claimed is not None]

    def take_out(self, task_id: int) -> Claimed | None:
        """Return a task that no worker has taken, and none will take any more; then `done`."""
        found = None if self._ended else self._queue.take_out(task_id)
        return found[2] if found else None

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

    def _put_back(self, entry: Entry) -> None:
        self._queue.put(entry)
        self._queue.task_done()
