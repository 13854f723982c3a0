"""Runs tasks, one at a time."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from leek.connections import refresh_connections
from leek.outcome import Claimed, Outcome, Success
from leek.server.backlog import Backlog
from leek.server.executor import Executor
from leek.server.heartbeat import Lease
from leek.server.journal import log_outcome
from leek.server.notes import RunningNotes
from leek.server.pace import Pace
from leek.server.service import Outage, Service, distrust_after


@dataclass(frozen=True)
class Shared:
    """What the Workers of a server share: where tasks come from and where outcomes go."""

    lease: Lease
    backlog: Backlog
    executor: Executor
    notes: RunningNotes
    pace: Pace
    on_outcome: Callable[[Outcome], None]
    on_ended: Callable[[], None]
    give_back: Callable[[Claimed], None]


class Worker(Service):
    """Takes tasks from the backlog, executes them, and hands on their outcomes.

    It touches the database only on behalf of the tasks: their connections are kept healthy here.
    """

    name = "worker"

    def __init__(
        self, outage: Outage, shared: Shared, number: int, on_end: Callable[[], None]
    ) -> None:
        super().__init__(outage, on_end)
        self._shared = shared
        self._number = number
        self._process = os.getpid()

    def run_once(self) -> None:
        """Wait for a task and run it; end the loop when there will be none."""
        waiting_since = time.monotonic()
        claimed = self._shared.backlog.take()
        if claimed is None:
            self.stopping.set()
            return
        distrust_after(waiting_since)
        if self._shared.lease.covers(claimed):
            outcome = self._execute(claimed)
            log_outcome(outcome)
            refresh_connections()
        else:  # this process was frozen, or is cut off: another server may run the task already
            self._shared.backlog.done()
            self._shared.give_back(claimed)

    def _execute(self, claimed: Claimed) -> Outcome:
        started = time.monotonic()
        self._shared.notes.note(self._number, claimed.id)
        try:
            outcome = self._shared.executor.run(claimed)
            if os.getpid() != self._process:  # a child that the task has forked, and let return
                os._exit(0 if isinstance(outcome, Success) else 1)
            self._shared.on_outcome(outcome)
        finally:
            self._shared.notes.note(self._number, 0)
            self._shared.backlog.done()
            self._shared.pace.record(time.monotonic() - started)
            self._shared.on_ended()
        return outcome
