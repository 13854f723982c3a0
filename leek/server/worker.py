"""Runs tasks, one at a time."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from leek.database import distrust_connections, refresh_connections
from leek.outcome import Outcome
from leek.server.backlog import Backlog
from leek.server.executor import Executor
from leek.server.journal import log_outcome
from leek.server.notes import RunningNotes
from leek.server.pace import Pace
from leek.server.service import Outage, Service

IDLE_TOO_LONG = 5.0  # seconds after which the task's connections are tried before they are used


@dataclass(frozen=True)
class Line:
    """What the Workers of a server share: where tasks come from and where outcomes go."""

    backlog: Backlog
    executor: Executor
    notes: RunningNotes
    pace: Pace
    on_outcome: Callable[[Outcome], None]
    on_ended: Callable[[], None]


class Worker(Service):
    """Takes tasks from the backlog, executes them, and hands on their outcomes.

    It touches the database only on behalf of the tasks: their connections are kept healthy here.
    """

    name = "worker"

    def __init__(self, outage: Outage, line: Line, number: int, on_end: Callable[[], None]) -> None:
        super().__init__(outage, on_end)
        self._line = line
        self._number = number

    def run_once(self) -> None:
        """Wait for a task and run it; end the loop when there will be none."""
        waiting_since = time.monotonic()
        claimed = self._line.backlog.take()
        if claimed is None:
            self.stopping.set()
            return
        started = time.monotonic()
        if started - waiting_since > IDLE_TOO_LONG:
            distrust_connections()
        self._line.notes.note(self._number, claimed.id)
        try:
            outcome = self._line.executor.run(claimed)
            self._line.on_outcome(outcome)
        finally:
            self._line.notes.note(self._number, 0)
            self._line.backlog.done()
            self._line.pace.record(time.monotonic() - started)
            self._line.on_ended()
        log_outcome(outcome)
        refresh_connections()
