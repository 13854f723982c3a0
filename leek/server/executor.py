"""Runs one task, and returns how it ended. Never raises; knows no database and writes no log."""

import os
import random
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.utils import timezone

from leek import serializer
from leek.exceptions import CallableNotFound
from leek.outcome import Claimed, Crash, ErrorReport, Failure, Outcome, Retry, Success
from leek.retry import RetryPolicy
from leek.task import Task

LONGEST_REPORT = 50_000  # characters of a message or a traceback that are kept
FIRST_PARKING, LONGEST_PARKING = 1.0, 60.0  # seconds until a parked task is looked at again

_PACKAGE = f"{Path(__file__).parent.parent}{os.sep}"


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
        process = os.getpid()
        outcome = self._run(claimed, timezone.now())
        if os.getpid() != process:  # a child that the task has forked, and let return
            os._exit(0 if isinstance(outcome, Success) else 1)
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

    def _run(self, claimed: Claimed, started_at: datetime) -> Outcome:
        try:
            task = serializer.load_task(claimed.payload, self.serializer_mode, self.aliases)
        except CallableNotFound as error:
            return self._parked(claimed, started_at, error)
        except BaseException as error:  # noqa: BLE001 (an import may even call sys.exit)
            return Failure(claimed, started_at, timezone.now(), report_of(error))
        return self._attempt(task, claimed, started_at)

    def _attempt(self, task: Task, claimed: Claimed, started_at: datetime) -> Outcome:
        try:
            result = serializer.dump_value(task.run(self.timeout), self.serializer_mode)
        except BaseException as error:  # noqa: BLE001 (SystemExit ends the task, not the Worker)
            return self.failed(claimed, started_at, report_of(error))
        return Success(claimed, started_at, timezone.now(), result)

    def _parked(self, claimed: Claimed, started_at: datetime, error: CallableNotFound) -> Outcome:
        """Wait for a deployment that brings the callable, for `park_for` seconds in all."""
        waited = (started_at - (claimed.parked_since or started_at)).total_seconds()
        report = report_of(error.__cause__ or error)
        if waited >= self.park_for:
            return Failure(claimed, started_at, timezone.now(), report)
        # Often at first: while releases run side by side, each look is a toss-up between them.
        delay = min(max(waited / 4, FIRST_PARKING), LONGEST_PARKING)
        return Retry(claimed, started_at, timezone.now(), report, delay, spends_try=False)


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
