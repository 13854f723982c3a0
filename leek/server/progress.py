"""Keeps the progress of tasks, and stores the latest of each now and then."""

import threading
from collections.abc import Callable, Sequence

from leek.outcome import Progress
from leek.server.service import LateService, Outage

INTERVAL = 0.5  # seconds between two times when progress is stored
LONG = 3600.0  # seconds to rest where there is none: who has some wakes it


class ProgressKeeper(LateService):
    """Takes the progress of tasks, and stores the latest of each; no task and no outcome waits.

    The thread is started with the first. What cannot be stored is kept until it can, or until
    something newer takes its place.
    """

    name = "progress"

    def __init__(
        self,
        outage: Outage,
        store: Callable[[Sequence[Progress]], None],
        interval: float = INTERVAL,
    ) -> None:
        super().__init__(outage)
        self._store = store
        self._interval = interval
        self._latest: dict[int, Progress] = {}
        self._lock = threading.Lock()
        self._storing = threading.Lock()

    def note(self, progress: Progress) -> None:
        """Take over how far a task is."""
        with self._lock:
            self._latest[progress.task_id] = progress
        self.start_once()
        self.wake()

    def run_once(self) -> None:
        """Wait for progress, store it, and let more come together."""
        if not self._latest:
            self.rest(LONG)
        self.flush()
        self.stopping.wait(self._interval)

    def finish(self) -> None:
        """Store what is left."""
        self.flush()

    def flush(self) -> None:
        """Store what is not stored yet, in any thread; it is when this returns."""
        with self._storing:
            with self._lock:
                latest, self._latest = self._latest, {}
            if not latest:
                return
            try:
                self._store([*latest.values()])
            except Exception:
                with self._lock:
                    self._latest = latest | self._latest
                raise
