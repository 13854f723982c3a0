"""Runs async tasks, many at a time, on one event loop."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from django.utils import timezone

from leek.outcome import Claimed, Outcome, Success, Undone, cancelled
from leek.server.executor import Attempt
from leek.server.journal import log_outcome
from leek.server.loop import Loop
from leek.server.recorder import Recorder
from leek.server.service import Outage, Service
from leek.server.slots import Slots
from leek.server.worker import Shared


@dataclass
class Run:
    """An attempt, its slot and its task on the loop, and how it ended, each as soon as it has."""

    attempt: Attempt
    slot: int = -1
    task: "asyncio.Task[None] | None" = None
    outcome: Outcome | None = None

    @property
    def claimed(self) -> Claimed:
        """The task."""
        return self.attempt.claimed


class Coroutines(Service):
    """Takes async tasks from the Workers, which are free at once, and hands on their outcomes.

    Each runs in a slot, whose notes are those behind the Workers'. Nothing in this thread waits for
    anything but the event loop: for a slot and for the recorder's room the Worker has waited.
    """

    name = "coroutines"
    runs_sites_code = True

    _loop: Loop  # from the start on

    def __init__(
        self,
        outage: Outage,
        shared: Shared,
        recorder: Recorder,
        limit: int,
        first_place: int,
        on_end: Callable[[], None],
    ) -> None:
        super().__init__(outage, on_end)
        self._shared = shared
        self._recorder = recorder
        self._first_place = first_place
        self._slots = Slots(limit)
        self._running: set[asyncio.Task[None]] = set()
        self._is_over = False
        self._is_abandoned = False

    def start(self) -> None:
        """Start the thread."""
        self._loop = Loop()
        self._loop.call_soon(self._end_if_unused)
        super().start()

    def run(self, attempt: Attempt) -> bool:
        """Wait for a slot, and have an async task run in it; return False if there is none."""
        self._recorder.wait_for_room()
        run = Run(attempt)
        stop = partial(self._call, partial(self._cancel, run))
        self._shared.cancellations.allow(run.claimed.id, stop)
        if (slot := self._slots.take()) is None:
            return self._take_if_cancelled(run)
        run.slot = slot
        self._shared.backlog.set_aside()
        self._call(partial(self._begin, run))
        return True

    @property
    def waiting(self) -> int:
        """The number of tasks that wait for a slot."""
        return self._slots.waiting

    def stop(self) -> None:
        """Begin nothing any more, and end as soon as nothing runs."""
        self._slots.end()
        self._call(self._end_if_unused)

    def abandon(self) -> None:
        """Cancel what runs: that is given back, and its outcome counts no more."""
        self._is_abandoned = True
        self._call(self._cancel_all)

    def run_once(self) -> None:
        """Run the event loop, until the end or until something stops it."""
        with suppress(KeyboardInterrupt, SystemExit):  # of a task's own task: its waiter gets it
            self._loop.run_forever()
        if self._is_over:
            self.stopping.set()

    def finish(self) -> None:
        """Close the loop."""
        self._loop.end()

    def _take_if_cancelled(self, run: Run) -> bool:
        """Hand on the outcome of a task that was cancelled; return whether it was."""
        if not self._shared.cancellations.end(run.claimed.id):
            return False
        outcome = _cancelled(run)
        self._recorder.take(outcome)
        log_outcome(outcome)
        return True

    def _call(self, action: Callable[[], None]) -> None:
        """Have the loop do something, if it was started and is not over."""
        if self._thread.ident is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(action)

    # What the loop's thread does

    def _begin(self, run: Run) -> None:
        if self._slots.has_ended or not self._shared.lease.covers(run.claimed):
            if not self._take_if_cancelled(run):
                self._shared.give_back(run.claimed)
            self._free(run)
            return
        self._shared.notes.note(self._first_place + run.slot, run.claimed.id)
        run.task = self._loop.begin(self._attempt, run)
        self._running.add(run.task)
        run.task.add_done_callback(partial(self._hand_on, run))
        if self._shared.cancellations.includes(run.claimed.id):
            run.task.cancel()

    def _cancel(self, run: Run) -> None:
        if run.task:
            run.task.cancel()

    async def _attempt(self, run: Run) -> None:
        outcome = await self._shared.executor.attempt_in_loop(run.attempt)
        if run.attempt.conditions.requires and not isinstance(outcome, Success):
            reconsider = partial(self._shared.admission.reconsider, outcome)
            outcome = await asyncio.to_thread(reconsider, run.attempt.conditions)
        run.outcome = outcome

    def _hand_on(self, run: Run, task: "asyncio.Task[None]") -> None:
        """Hand on how a task ended; it has not, if it was cancelled before its first line."""
        self._running.discard(task)
        was_cancelled = self._shared.cancellations.end(run.claimed.id)
        outcome = None if self._is_abandoned else self._outcome_of(run, task)
        if was_cancelled and not self._is_abandoned:  # whatever it has made of that
            outcome = _cancelled(run)
        if outcome is None:
            self._shared.give_back(run.claimed)
            self._free(run)
        else:
            self._recorder.take(outcome)
            self._free(run)
            log_outcome(outcome)

    def _outcome_of(self, run: Run, task: "asyncio.Task[None]") -> Outcome | None:
        if run.outcome is None and not task.cancelled() and (error := task.exception()):
            # A GeneratorExit, which tears down all that awaits what has raised it.
            return self._shared.executor.raised(run.attempt, error)
        return None if isinstance(run.outcome, Undone) else run.outcome

    def _free(self, run: Run) -> None:
        self._shared.notes.note(self._first_place + run.slot, 0)
        self._shared.backlog.done_aside()
        self._shared.on_ended(run.claimed)
        self._slots.give_back(run.slot)
        self._end_if_unused()

    def _cancel_all(self) -> None:
        for task in self._running:
            task.cancel()

    def _end_if_unused(self) -> None:
        if self._slots.has_ended and self._slots.are_unused:
            self._is_over = True
            self._loop.stop()


def _cancelled(run: Run) -> Outcome:
    """Return the outcome of a task that was cancelled."""
    attempt, has_begun = run.attempt, run.task is not None
    claimed, started_at, logged = attempt.claimed, attempt.started_at, attempt.log.logged
    return cancelled(claimed, started_at, timezone.now(), has_begun=has_begun, logged=logged)
