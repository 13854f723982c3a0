"""The tasks that this server has claimed and not finished: Python's Queue, by priority."""

import time
from queue import Empty, PriorityQueue

from leek.outcome import Claimed

_Entry = tuple[int, int, Claimed | None]
_END: _Entry = (-1_000_000, 0, None)  # before any priority


class Backlog:
    """Takes claimed tasks from the dispatcher, and hands them to the workers, most urgent first."""

    def __init__(self) -> None:
        self._queue: PriorityQueue[_Entry] = PriorityQueue()
        self.last_taken = time.monotonic()

    def put(self, claimed: list[Claimed]) -> None:
        """Add tasks to be run."""
        for task in claimed:
            self._queue.put((-task.priority, task.id, task))

    def take(self) -> Claimed | None:
        """Wait for the next task and return it; None tells a worker to end."""
        claimed = self._queue.get()[2]
        self.last_taken = time.monotonic()
        return claimed

    def done(self) -> None:
        """Note that a task that was taken has ended."""
        self._queue.task_done()

    def drain(self) -> list[Claimed]:
        """Take out all tasks that no worker has taken."""
        drained = []
        try:
            while True:
                claimed = self._queue.get_nowait()[2]
                self._queue.task_done()
                if claimed is not None:
                    drained.append(claimed)
        except Empty:
            return drained

    def end(self, workers: int) -> None:
        """Tell so many workers to end, before anything else that is here."""
        for _ in range(workers):
            self._queue.put(_END)

    @property
    def waiting(self) -> int:
        """The number of tasks that no worker has taken."""
        return self._queue.qsize()

    @property
    def unfinished(self) -> int:
        """The number of tasks that wait or are being run."""
        return self._queue.unfinished_tasks
