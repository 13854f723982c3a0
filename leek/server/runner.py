"""Runs one claimed task where it has to be run, and hands on how that ended."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from django.utils import timezone

from leek.connections import refresh_connections
from leek.outcome import Claimed, Crash, Ended, Outcome, Success, Undone, cancelled
from leek.server.admission import Admission
from leek.server.cancelling import Cancellations
from leek.server.executor import Attempt, Executor
from leek.server.heartbeat import Lease
from leek.server.isolation import ChildUnavailable, Isolation
from leek.server.journal import log_outcome
from leek.server.notes import RunningNotes
from leek.server.service import distrust_after, give_up_connections

Run = Callable[[Claimed], Outcome | None]  # None: it was handed over, or may not begin
HandOver = Callable[[Attempt], bool]

LINGER = 1.0  # seconds for which a process that has cleared a suspect waits for the next one


@dataclass(frozen=True)
class Parts:
    """What all that run tasks in a process share: how tasks are run, and where outcomes go.

    With `isolate` every task is run in a child process, not only those that must be.
    """

    lease: Lease
    executor: Executor
    admission: Admission
    write_lock: AbstractContextManager[object]
    isolate: bool
    notes: RunningNotes
    on_outcome: Callable[[Outcome], None]
    give_back: Callable[[Claimed], None]
    put_off: Callable[[Claimed], None]
    cancellations: Cancellations


class Runner:
    """Runs a task at a time, in the thread that asks for it, and notes that at its place.

    It touches the database only on behalf of the tasks: their connections are kept healthy here.
    A task that a process may have died of is run in a child process, where it is alone. One process
    clears suspect after suspect, because a dead server may have left hundreds; a task that is
    charged with a crash has one to itself. An async one is handed over where there is somebody to
    take it. `on_free` is called as soon as the next task could be run, with the seconds that this
    one took, if it was begun.
    """

    def __init__(
        self,
        parts: Parts,
        isolation: Isolation,
        place: int,
        on_free: Callable[[Claimed, float | None], None],
        hand_over: HandOver | None = None,
    ) -> None:
        self._parts = parts
        self._isolation = isolation
        self._place = place
        self._on_free = on_free
        self._hand_over = hand_over
        self._timeout: float | None = None  # of the task that is run in this thread
        self._clears_suspects = False  # whether the child process has run suspects, and no others
        self._cleared_at = 0.0  # when the last of them ended, by the monotonic clock

    @property
    def patience(self) -> float | None:
        """For how many seconds to wait for a task before `end_child`; None for no limit."""
        return LINGER if self._clears_suspects else None

    def end_child(self) -> None:
        """Let the child process end, if there is one."""
        self._isolation.close()
        self._clears_suspects = False

    def end_late_child(self) -> None:
        """Let the child process end if it has waited too long for another suspect."""
        if self._clears_suspects and time.monotonic() > self._cleared_at + LINGER:
            self.end_child()

    def run(self, claimed: Claimed) -> None:
        """Run a task where it has to be run.

        Where that cannot be had it is put off; at a stop it is given back, for others to run.
        """
        if not self._parts.lease.covers(claimed):
            # This process was frozen, or is cut off: another server may run the task already.
            self._on_free(claimed, None)
            self._parts.give_back(claimed)
            return
        began = time.monotonic()
        try:
            run = self._place_for(claimed)
        except ChildUnavailable:
            self._on_free(claimed, None)
            if self._isolation.starts_no_more:
                self._parts.give_back(claimed)
            else:
                self._parts.put_off(claimed)
            raise
        if (outcome := self._execute(claimed, run)) is not None:
            log_outcome(outcome)
        if claimed.crashes:
            self.end_child()
        elif claimed.suspect:
            self._cleared_at = time.monotonic()
        self._mend_connections(time.monotonic() - began)

    def _place_for(self, claimed: Claimed) -> Run:
        """Return what runs the task, ready to: what is noted as running does run."""
        if self._is_for_child(claimed):
            is_suspect = claimed.must_run_alone and not claimed.crashes
            if claimed.crashes or is_suspect != self._clears_suspects:
                self.end_child()
            self._isolation.prepare()
            self._clears_suspects = is_suspect
            return self._run_in_child
        return self._run_here

    def _run_in_child(self, claimed: Claimed) -> Outcome:
        """Run a task in the child process, which is killed if the task is cancelled."""
        began = timezone.now()
        self._parts.cancellations.allow(claimed.id, self._isolation.interrupt)
        try:
            outcome = self._isolation.run(claimed)
        except Exception:
            if self._parts.cancellations.end(claimed.id):
                return cancelled(claimed, began, timezone.now(), has_begun=True)
            raise
        is_stored = isinstance(outcome, Success) and outcome.is_stored
        if not self._parts.cancellations.end(claimed.id) or is_stored:
            return outcome
        logged = outcome.logged if isinstance(outcome, Ended) else None
        return cancelled(claimed, began, timezone.now(), has_begun=True, logged=logged)

    def _run_here(self, claimed: Claimed) -> Outcome | None:
        """Run a task in this thread; hand it over if it is async, where that is still possible."""
        loaded = self._parts.executor.load(claimed)
        if not isinstance(loaded, Attempt):
            return loaded
        if refused := self._parts.admission.refuse(claimed, loaded.conditions):
            return refused
        if loaded.needs_thread or self._hand_over is None:
            return self._attempt(loaded)
        self._parts.notes.note(self._place, 0)  # it does not run before it has a slot
        waiting_since = time.monotonic()
        if not self._hand_over(loaded):
            self._parts.give_back(claimed)
        distrust_after(waiting_since)
        return None

    def _attempt(self, attempt: Attempt) -> Outcome:
        """Run a task; alone among the writers of this process, if it is one as a whole."""
        self._timeout = attempt.timeout
        lock = self._parts.write_lock if attempt.terms.atomic else nullcontext()
        with lock:
            outcome = self._parts.executor.attempt(attempt)
        return self._parts.admission.reconsider(outcome, attempt.conditions)

    def _is_for_child(self, claimed: Claimed) -> bool:
        return claimed.must_run_alone or self._parts.isolate

    def _mend_connections(self, seconds: float) -> None:
        """Make the connections fit for the next task, after one that took so long."""
        refresh_connections()
        timeout, self._timeout = self._timeout, None
        if timeout is not None and seconds >= timeout:  # a query may have been interrupted
            give_up_connections()

    def _execute(self, claimed: Claimed, run: Run) -> Outcome | None:
        started = time.monotonic()
        self._parts.notes.note(self._place, claimed.id, in_child=self._is_for_child(claimed))
        try:
            outcome = run(claimed)
            if isinstance(outcome, Crash):  # nothing else can be the cause
                self._parts.notes.note(self._place, claimed.id)
            if isinstance(outcome, Undone):
                self._parts.give_back(claimed)
            elif outcome is not None:
                self._parts.on_outcome(outcome)
        except Exception:  # there is no outcome: it runs again
            self._parts.give_back(claimed)
            raise
        finally:
            self._parts.notes.note(self._place, 0)
            self._on_free(claimed, time.monotonic() - started)
        return outcome
