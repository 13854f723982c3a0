"""Runs tasks, one at a time, but for async ones: these are handed over."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from django.utils import timezone

from leek.connections import keep_caches, refresh_connections
from leek.outcome import Claimed, Crash, Ended, Outcome, Success, Undone, cancelled
from leek.server.admission import Admission
from leek.server.backlog import Backlog
from leek.server.cancelling import Cancellations
from leek.server.executor import Attempt, Executor
from leek.server.heartbeat import Lease
from leek.server.isolation import ChildUnavailable, Isolation
from leek.server.journal import log_outcome
from leek.server.notes import RunningNotes
from leek.server.pace import Pace
from leek.server.service import Outage, Service, distrust_after, give_up_connections

Run = Callable[[Claimed], Outcome | None]  # None: it was handed over, or may not begin
HandOver = Callable[[Attempt], bool]


@dataclass(frozen=True)
class Shared:
    """What the Workers of a server share: where tasks come from and where outcomes go.

    With `isolate` every task is run in the Worker's child process, not only those that must be.
    """

    lease: Lease
    backlog: Backlog
    executor: Executor
    admission: Admission
    write_lock: AbstractContextManager[object]
    isolate: bool
    notes: RunningNotes
    pace: Pace
    on_outcome: Callable[[Outcome], None]
    on_ended: Callable[[Claimed], None]
    give_back: Callable[[Claimed], None]
    put_off: Callable[[Claimed], None]
    cancellations: Cancellations


class Worker(Service):
    """Takes tasks from the backlog, executes them, and hands on their outcomes.

    An async task it hands over, and is free again. It touches the database only on behalf of the
    tasks: their connections are kept healthy here.
    A task that a process may have died of is run in a child process, where it is alone.
    """

    name = "worker"

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
        self._hand_over = hand_over
        self._number = number
        self._timeout: float | None = None  # of the task that is run in this thread

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
        claimed = self._shared.backlog.take()
        if claimed is None:
            self.stopping.set()
            return
        distrust_after(waiting_since)
        if self._shared.lease.covers(claimed):
            self._begin(claimed)
        else:  # this process was frozen, or is cut off: another server may run the task already
            self._shared.backlog.done()
            self._shared.give_back(claimed)

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

    def _begin(self, claimed: Claimed) -> None:
        """Run a task where it has to be run.

        Where that cannot be had it is put off; at a stop it is given back, for others to run.
        """
        began = time.monotonic()
        try:
            run = self._place_for(claimed)
        except ChildUnavailable:
            self._shared.backlog.done()
            if self._isolation.starts_no_more:
                self._shared.give_back(claimed)
            else:
                self._shared.put_off(claimed)
            raise
        if (outcome := self._execute(claimed, run)) is not None:
            log_outcome(outcome)
        if claimed.must_run_alone:
            self._isolation.close()
        self._mend_connections(time.monotonic() - began)

    def _place_for(self, claimed: Claimed) -> Run:
        """Return what runs the task, ready to: what is noted as running does run."""
        if claimed.must_run_alone:
            self._isolation.close()
        if self._is_for_child(claimed):
            self._isolation.prepare()
            return self._run_in_child
        return self._run_here

    def _run_in_child(self, claimed: Claimed) -> Outcome:
        """Run a task in the child process, which is killed if the task is cancelled."""
        began = timezone.now()
        self._shared.cancellations.allow(claimed.id, self._isolation.interrupt)
        try:
            outcome = self._isolation.run(claimed)
        except Exception:
            if self._shared.cancellations.end(claimed.id):
                return cancelled(claimed, began, timezone.now(), has_begun=True)
            raise
        is_stored = isinstance(outcome, Success) and outcome.is_stored
        if not self._shared.cancellations.end(claimed.id) or is_stored:
            return outcome
        logged = outcome.logged if isinstance(outcome, Ended) else None
        return cancelled(claimed, began, timezone.now(), has_begun=True, logged=logged)

    def _run_here(self, claimed: Claimed) -> Outcome | None:
        """Run a task in this thread; hand it over if it is async, where that is still possible."""
        loaded = self._shared.executor.load(claimed)
        if not isinstance(loaded, Attempt):
            return loaded
        if refused := self._shared.admission.refuse(claimed, loaded.conditions):
            return refused
        if loaded.needs_thread:
            return self._attempt(loaded)
        self._shared.notes.note(self._number, 0)  # it does not run before it has a slot
        waiting_since = time.monotonic()
        if not self._hand_over(loaded):
            self._shared.give_back(claimed)
        distrust_after(waiting_since)
        return None

    def _attempt(self, attempt: Attempt) -> Outcome:
        """Run a task; alone among the writers of this process, if it is one as a whole."""
        self._timeout = attempt.timeout
        lock = self._shared.write_lock if attempt.terms.atomic else nullcontext()
        with lock:
            outcome = self._shared.executor.attempt(attempt)
        return self._shared.admission.reconsider(outcome, attempt.conditions)

    def _is_for_child(self, claimed: Claimed) -> bool:
        return claimed.must_run_alone or self._shared.isolate

    def _mend_connections(self, seconds: float) -> None:
        """Make the connections fit for the next task, after one that took so long."""
        refresh_connections()
        timeout, self._timeout = self._timeout, None
        if timeout is not None and seconds >= timeout:  # a query may have been interrupted
            give_up_connections()

    def _execute(self, claimed: Claimed, run: Run) -> Outcome | None:
        started = time.monotonic()
        self._shared.notes.note(self._number, claimed.id, in_child=self._is_for_child(claimed))
        try:
            outcome = run(claimed)
            if isinstance(outcome, Crash):  # nothing else can be the cause
                self._shared.notes.note(self._number, claimed.id)
            if isinstance(outcome, Undone):
                self._shared.give_back(claimed)
            elif outcome is not None:
                self._shared.on_outcome(outcome)
        except Exception:  # there is no outcome: it runs again
            self._shared.give_back(claimed)
            raise
        finally:
            self._shared.notes.note(self._number, 0)
            self._shared.backlog.done()
            self._shared.pace.record(time.monotonic() - started)
            self._shared.on_ended(claimed)
        return outcome
