"""Reads and runs one task, and tells how it ended. Never raises; knows no log."""

import os
import random
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from django import db
from django.utils import timezone

from leek.announcing import announce_start, announce_start_in_loop
from leek.attempt_log import AttemptLog
from leek.conditions import Conditions
from leek.context import restore
from leek.contracts import Contract
from leek.current import CurrentTask, enter
from leek.database import is_transient
from leek.exceptions import CallableNotFound, TaskTimeout
from leek.outcome import Claimed, Crash, Failure, Line, Outcome, Progress, Retry, Success, Undone
from leek.policy import Policy, Terms
from leek.reading import read
from leek.server.atomic import run_atomically
from leek.server.reports import report_of
from leek.task import Task
from leek.time_limit import excess
from leek.tracing import running

FIRST_PARKING, LONGEST_PARKING = 1.0, 60.0  # seconds until a parked task is looked at again

_ONCE = Policy(max_retries=1)


class Attempt(NamedTuple):
    """A claimed task that was read, and so can be run; when that began, and in which process.

    `contract`, `terms` and `conditions` are what holds for it; `log` gets what it logs.
    """

    claimed: Claimed
    task: Task
    started_at: datetime
    process: int
    contract: Contract
    terms: Terms
    conditions: Conditions
    log: AttemptLog

    @property
    def beginning(self) -> tuple[Claimed, Task, datetime]:
        """What the contract has to know when it begins."""
        return self.claimed, self.task, self.started_at

    @property
    def timeout(self) -> float | None:
        """How many seconds it may run, None for no limit."""
        return self.terms.timeout

    @property
    def needs_thread(self) -> bool:
        """Whether it keeps a thread busy: it is not async, or one transaction with its success."""
        return bool(self.terms.atomic) or not self.task.is_async


@dataclass(frozen=True)
class Executor:
    """Takes a claimed task, and hands back an outcome.

    `terms` is what the settings say; a task may have others. `park_for` is for how many seconds one
    waits whose callable does not import. At the `max_crashes`th crash a task fails. `aliases` has
    the present paths of callables by former ones. Without `limits_time` somebody else sees to it.
    With `tries_once` no task is tried again. `on_progress` is told of the progress of tasks. Of
    what each attempt logs `log_lines` are kept; `on_line` is told of each line and its number.
    """

    terms: Terms
    serializer_mode: str
    park_for: float
    max_crashes: int = 1
    aliases: Mapping[str, str] = field(default_factory=dict)
    limits_time: bool = True
    tries_once: bool = False
    on_progress: Callable[[Progress], None] | None = None
    log_lines: int = 0
    on_line: Callable[[Claimed, int, Line], None] | None = None

    def run(self, claimed: Claimed) -> Outcome:
        """Read the task, run it, and tell how it ended."""
        loaded = self.load(claimed)
        return self.attempt(loaded) if isinstance(loaded, Attempt) else loaded

    def load(self, claimed: Claimed) -> Attempt | Outcome:
        """Read the task; where it cannot be read, tell what follows."""
        process = os.getpid()
        loaded = self._load(claimed, timezone.now(), process)
        _end_if_forked(process, None)
        return loaded

    def attempt(self, attempt: Attempt) -> Outcome:
        """Run a task that was read, in a context of its own, and tell how it ended."""
        return copy_context().run(self._attempt_in_context, attempt)

    def _attempt_in_context(self, attempt: Attempt) -> Outcome:
        self._surround(attempt)
        with running(attempt.claimed, attempt.task.context) as span:
            if attempt.terms.atomic:
                run, raised = partial(self._attempt, attempt), partial(self.raised, attempt)
                return span.ended(run_atomically(attempt.claimed, run, raised))
            return span.ended(self._attempt(attempt))

    async def attempt_in_loop(self, attempt: Attempt) -> Outcome:
        """Do as `attempt`, with a coroutine function, in the context that the event loop gave."""
        self._surround(attempt)
        with running(attempt.claimed, attempt.task.context) as span:
            return span.ended(await self._attempt_in_loop(attempt))

    async def _attempt_in_loop(self, attempt: Attempt) -> Outcome:
        try:
            await announce_start_in_loop(attempt.claimed)
            task = await attempt.contract.begin_in_loop(*attempt.beginning)
        except BaseException as error:  # noqa: BLE001 (as below)
            return self._not_begun(attempt, error)
        try:
            value = await task.run_in_loop(self._limit(attempt))
        except BaseException as error:  # noqa: BLE001 (CancelledError does, too)
            return self.raised(attempt, error)
        return self._returned(attempt, value)

    def raised(self, attempt: Attempt, error: BaseException) -> Outcome:
        """Tell what follows an attempt that this error has ended."""
        outcome = _after_error(attempt.claimed, attempt.started_at, attempt.terms, error)
        _end_if_forked(attempt.process, outcome)
        return replace(outcome, logged=attempt.log.logged)

    def timed_out(
        self, claimed: Claimed, started_at: datetime, attempt: Attempt | None = None
    ) -> Retry | Failure:
        """Tell what follows where the process is killed because the task takes too long.

        Without an `attempt` it took too long to read it.
        """
        terms = attempt.terms if attempt else self.terms
        error = TaskTimeout(f"{excess(terms.timeout or 0)}, and its process was killed")
        return _after_error(claimed, started_at, terms, error)

    def crashed(self, claimed: Claimed, started_at: datetime, how: str) -> Crash:
        """Tell what follows the death of a process that ran nothing but this task."""
        return Crash(claimed, started_at, timezone.now(), how, self.max_crashes, was_alone=True)

    def _limit(self, attempt: Attempt) -> float | None:
        return attempt.timeout if self.limits_time else None

    def _surround(self, attempt: Attempt) -> None:
        """Give the context that is current what a task is to find there."""
        claimed, max_retries = attempt.claimed, attempt.terms.retry.max_retries
        task = CurrentTask(
            id=claimed.id,
            name=claimed.name,
            attempt=claimed.attempt,
            max_retries=max_retries,
            is_last_try=claimed.tries + 1 >= max_retries,
            started_at=attempt.started_at,
            timeout=attempt.timeout,
        )
        enter(task, partial(self._report, claimed))
        attempt.log.collect()
        restore(attempt.task.context)

    def _report(self, claimed: Claimed, done: int, total: int | None) -> None:
        if self.on_progress:
            self.on_progress(Progress(claimed.id, claimed.owner, claimed.claim, done, total))

    def _attempt(self, attempt: Attempt) -> Outcome:
        try:
            announce_start(attempt.claimed)
            task = attempt.contract.begin(*attempt.beginning)
        except BaseException as error:  # noqa: BLE001 (as below)
            return self._not_begun(attempt, error)
        try:
            value = task.run(self._limit(attempt))
        except BaseException as error:  # noqa: BLE001 (SystemExit ends the task, not the Worker)
            return self.raised(attempt, error)
        return self._returned(attempt, value)

    def _not_begun(self, attempt: Attempt, error: BaseException) -> Outcome:
        """Tell what follows an error before the task's first line; an outage is not its own."""
        if isinstance(error, db.Error) and is_transient(error):
            return Undone(attempt.claimed, attempt.started_at, timezone.now())
        return self.raised(attempt, error)

    def _load(self, claimed: Claimed, started_at: datetime, process: int) -> Attempt | Outcome:
        try:
            mode, aliases = self.serializer_mode, self.aliases
            reading = read(claimed.name, claimed.payload, mode, aliases, self.terms)
        except CallableNotFound as error:
            return self._parked(claimed, started_at, error)
        except BaseException as error:  # noqa: BLE001 (an import may even call sys.exit)
            return Failure(claimed, started_at, timezone.now(), report_of(error))
        task, contract, terms, conditions = reading
        if self.tries_once:
            terms = terms.changed_by(_ONCE)
        log = AttemptLog(self.log_lines, self.on_line and partial(self.on_line, claimed))
        return Attempt(claimed, task, started_at, process, contract, terms, conditions, log)

    def _returned(self, attempt: Attempt, value: Any) -> Outcome:
        try:
            result = attempt.contract.dump(value, self.serializer_mode)
        except BaseException as error:  # noqa: BLE001 (what a value's own code may raise)
            return self.raised(attempt._replace(terms=attempt.terms.changed_by(_ONCE)), error)
        now, logged = timezone.now(), attempt.log.logged
        success = Success(attempt.claimed, attempt.started_at, now, result, logged=logged)
        _end_if_forked(attempt.process, success)
        return success

    def _parked(self, claimed: Claimed, started_at: datetime, error: CallableNotFound) -> Outcome:
        """Wait for a deployment that brings the callable, for `park_for` seconds in all."""
        waited = (started_at - (claimed.parked_since or started_at)).total_seconds()
        report = report_of(error.__cause__ or error)
        if waited >= self.park_for:
            return Failure(claimed, started_at, timezone.now(), report)
        # Often at first: while releases run side by side, each look is a toss-up between them.
        delay = min(max(waited / 4, FIRST_PARKING), LONGEST_PARKING)
        return Retry(claimed, started_at, timezone.now(), report, delay, spends_try=False)


def _after_error(
    claimed: Claimed, started_at: datetime, terms: Terms, error: BaseException
) -> Retry | Failure:
    """Tell what follows a try that this error has ended now."""
    jitter = random.random()  # noqa: S311
    try:
        delay = terms.retry.delay_after(claimed.tries + 1, error, jitter=jitter)
    except Exception as mistake:  # noqa: BLE001 (the site's function may raise anything)
        error.add_note(f"There is no other try, because retry_delay raised {mistake!r}")
        delay = None
    if delay is None:
        return Failure(claimed, started_at, timezone.now(), report_of(error))
    return Retry(claimed, started_at, timezone.now(), report_of(error), delay)


def _end_if_forked(process: int, outcome: Outcome | None) -> None:
    """End a process that a task has forked, and let return to where only its parent belongs."""
    if os.getpid() != process:
        os._exit(0 if isinstance(outcome, Success) else 1)
