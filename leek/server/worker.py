"""Takes tasks from the backlog and has them run, one at a time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty

from leek.connections import keep_caches
from leek.outcome import Claimed
from leek.server.backlog import Backlog
from leek.server.isolation import ChildUnavailable, Isolation
from leek.server.pace import Pace
from leek.server.runner import HandOver, Parts, Runner
from leek.server.service import Outage, Taker, distrust_after


@dataclass(frozen=True)
class Shared(Parts):
    """What the Workers of a server share: also where tasks come from, and who is told of an end."""

    backlog: Backlog
    pace: Pace
    on_ended: Callable[[Claimed], None]


class Worker(Taker):
    """Takes tasks from the backlog, and has them run; an async task is handed over.

    What runs them touches the database on their behalf; the Worker itself does not.
    """

    name = "worker"
    runs_sites_code = True

    def __init__(
        self,
        outage: Outage,
        shared: Shared,
        isolation: Isolation,
        hand_over: HandOver,
        number: int,
        on_end: Callable[[], None],
    ) -> None:
        super().__init__(outage, on_end)
        self._shared = shared
        self._isolation = isolation
        self._runner = Runner(shared, isolation, number, self._free, hand_over)

    def prepare(self) -> None:
        """Make what all tasks share."""
        keep_caches()

    def run_once(self) -> None:
        """Wait for a task and run it; end the loop when there will be none."""
        try:
            self._take_and_run()
        except ChildUnavailable:
            if not self._shared.backlog.has_ended:
                raise

    def _take_and_run(self) -> None:
        if self._shared.isolate and not self._shared.backlog.has_ended:
            self._isolation.prepare()
        waiting_since = time.monotonic()
        try:
            claimed = self._shared.backlog.take(self._runner.patience)
        except Empty:
            self._runner.end_child()
            return
        self._runner.end_late_child()
        if claimed is None:
            self.stopping.set()
            return
        distrust_after(waiting_since)
        self._runner.run(claimed)

    def finish(self) -> None:
        """Let the child process end."""
        self._isolation.close()

    def stop_waiting(self) -> None:
        """Wait no more for a child process that could run a task."""
        self._isolation.stop_waiting()

    def abandon(self) -> None:
        """End now, and with the child process the task that it runs: that is given back."""
        self.stop()
        self._isolation.abandon()

    def _free(self, claimed: Claimed, seconds: float | None) -> None:
        """Note that the next task can be taken."""
        self._shared.backlog.done()
        if seconds is not None:
            self._shared.pace.record(seconds)
            self._shared.on_ended(claimed)
