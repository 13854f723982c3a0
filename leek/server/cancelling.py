"""Cancels tasks that this server has claimed."""

import threading
from collections.abc import Callable

from django.utils import timezone

from leek.outcome import Claimed, Outcome, cancelled
from leek.server.backlog import Backlog
from leek.server.journal import log_outcome


class Cancellations:
    """Any thread may order to cancel a task; it is obeyed where the task can be stopped.

    What no worker has taken is taken out of the backlog. Who runs a task that can be stopped says
    how by `allow`, and learns at its `end` whether that was done. Nobody comes to an end while a
    task is being stopped, so that it never hits the next one in its place; so this must not wait.
    """

    def __init__(
        self,
        backlog: Backlog,
        on_outcome: Callable[[Outcome], None],
        on_ended: Callable[[Claimed], None],
    ) -> None:
        self._backlog = backlog
        self._on_outcome = on_outcome
        self._on_ended = on_ended
        self._lock = threading.Lock()
        self._stops: dict[int, Callable[[], None]] = {}
        self._cancelled: set[int] = set()

    def cancel(self, task_id: int) -> bool:
        """Cancel a task if it can be stopped; return whether it is cancelled, or will be."""
        if claimed := self._backlog.take_out(task_id):
            now = timezone.now()
            outcome = cancelled(claimed, now, now, has_begun=False)
            self._on_outcome(outcome)
            self._backlog.done()
            self._on_ended(claimed)
            log_outcome(outcome)
            return True
        with self._lock:
            if (stop := self._stops.get(task_id)) is None:
                return False
            self._cancelled.add(task_id)
            stop()
            return True

    def allow(self, task_id: int, stop: Callable[[], None]) -> None:
        """Let a task be cancelled from now on: `stop` makes it end soon."""
        with self._lock:
            self._stops[task_id] = stop

    def includes(self, task_id: int) -> bool:
        """Tell whether a task has been cancelled, and has not come to its end yet."""
        return task_id in self._cancelled

    def end(self, task_id: int) -> bool:
        """Let a task no more be cancelled; return whether it was."""
        with self._lock:
            self._stops.pop(task_id, None)
            was_cancelled = task_id in self._cancelled
            self._cancelled.discard(task_id)
            return was_cancelled
