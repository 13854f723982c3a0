"""Reads and runs one task, and tells how it ended. Never raises; knows no database and no log."""

import os
import random
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from django.utils import timezone

from leek import serializer
from leek.exceptions import CallableNotFound
from leek.outcome import Claimed, Crash, ErrorReport, Failure, Outcome, Retry, Success
from leek.retry import RetryPolicy
from leek.task import Task

LONGEST_REPORT = 50_000  # characters of a message or a traceback that are kept
FIRST_PARKING, LONGEST_PARKING = 1.0, 60.0  # seconds until a parked task is looked at again

_PACKAGE = f"{Path(__file__).parent.parent}{os.sep}"


class Attempt(NamedTuple):
    """A claimed task that was read, and so can be run; when that began, and in which process."""

    claimed: Claimed
    task: Task
    started_at: datetime
    process: int


@dataclass(frozen=True)
class Executor:
    """Takes a claimed task, and hands back an outcome.

    `park_for` is for how many seconds a task waits whose callable does not import; `timeout` for
    how many seconds one may run. At the `max_crashes`th crash a task fails. `aliases` has the
    present paths of callables by former ones.
    """

    policy: RetryPolicy
    serializer_mode: str
    park_for: float
    max_crashes: int = 1
    timeout: float | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)

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
        """Run a task that was read, and tell how it ended."""
        try:
            value = attempt.task.run(self.timeout)
        except BaseException as error:  # noqa: BLE001 (SystemExit ends the task, not the Worker)
            return self.raised(attempt, error)
        return self._returned(attempt, value)

    async def attempt_in_loop(self, attempt: Attempt) -> Outcome:
        """Do as `attempt`, with a coroutine function, in the running event loop."""
        try:
            value = await attempt.task.run_in_loop(self.timeout)
        except BaseException as error:  # noqa: BLE001 (CancelledError does, too)
            return self.raised(attempt, error)
        return self._returned(attempt, value)

    def raised(self, attempt: Attempt, error: BaseException) -> Outcome:
        """Tell what follows an attempt that this error has ended."""
        outcome = self.failed(attempt.claimed, attempt.started_at, report_of(error))
        _end_if_forked(attempt.process, outcome)
        return outcome

    def failed(self, claimed: Claimed, started_at: datetime, error: ErrorReport) -> Outcome:
        """Tell what follows a try that failed now."""
        delay = self.policy.delay_after(claimed.tries + 1, jitter=random.random())  # noqa: S311
        if delay is None:
            return Failure(claimed, started_at, timezone.now(), error)
        return Retry(claimed, started_at, timezone.now(), error, delay)

    def crashed(self, claimed: Claimed, started_at: datetime, how: str) -> Outcome:
        """Tell what follows the death of a process that ran nothing but this task."""
        return Crash(claimed, started_at, timezone.now(), how, self.max_crashes, was_alone=True)

    def _load(self, claimed: Claimed, started_at: datetime, process: int) -> Attempt | Outcome:
        try:
            task = serializer.load_task(claimed.payload, self.serializer_mode, self.aliases)
        except CallableNotFound as error:
            return self._parked(claimed, started_at, error)
        except BaseException as error:  # noqa: BLE001 (an import may even call sys.exit)
            return Failure(claimed, started_at, timezone.now(), report_of(error))
        return Attempt(claimed, task, started_at, process)

    def _returned(self, attempt: Attempt, value: Any) -> Outcome:
        try:
            result = serializer.dump_value(value, self.serializer_mode)
        except BaseException as error:  # noqa: BLE001 (what a value's own code may raise)
            return self.raised(attempt, error)
        success = Success(attempt.claimed, attempt.started_at, timezone.now(), result)
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


def _end_if_forked(process: int, outcome: Outcome | None) -> None:
    """End a process that a task has forked, and let return to where only its parent belongs."""
    if os.getpid() != process:
        os._exit(0 if isinstance(outcome, Success) else 1)


def report_of(error: BaseException) -> ErrorReport:
    """Return an exception as text that every database can store.

    The frames of leek itself are left out of the traceback.
    """
    kind = type(error)
    summary = traceback.TracebackException(kind, error, error.__traceback__, compact=True)
    frames = [frame for frame in summary.stack if not frame.filename.startswith(_PACKAGE)]
    summary.stack = traceback.StackSummary.from_list(frames)
    return ErrorReport(
        type=f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."),
        message=_storable(str(summary)),
        traceback=_storable("".join(summary.format())),
    )


def _storable(text: str) -> str:
    """Cut a text, and replace what PostgreSQL (NUL) or UTF-8 (lone surrogates) cannot hold."""
    text = text[:LONGEST_REPORT].replace("\x00", "\\x00")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
