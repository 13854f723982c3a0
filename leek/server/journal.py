"""The server's log, and what it says of an attempt."""

import logging
from contextlib import suppress
from typing import Any

from leek.outcome import CANCELLED, Crash, ErrorReport, Failure, Outcome, Retry, Success


class Journal(logging.LoggerAdapter[logging.Logger]):
    """The logger `leek`. The site's logging may raise: that costs the record, not the thread."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log, or do nothing."""
        if not self.isEnabledFor(level):
            return
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # the caller's line, not this one
        with suppress(Exception):
            super().log(level, msg, *args, **kwargs)


journal = Journal(logging.getLogger("leek"))


def log_outcome(outcome: Outcome) -> None:
    """Log how an attempt ended, with the task's id, name, attempt and duration."""
    match outcome:
        case Success() if journal.isEnabledFor(logging.INFO):
            journal.info("Task %s %s succeeded in %.3f s (attempt %s)", *_run(outcome))
        case Retry():
            _log_retry(outcome)
        case Failure(error=ErrorReport(type=type, traceback="")) if type == CANCELLED:
            journal.info("Task %s %s was cancelled after %.3f s (attempt %s)", *_run(outcome))
        case Failure(error=error):
            journal.error(
                "Task %s %s failed for good in %.3f s (attempt %s)\n%s",
                *_run(outcome),
                error.traceback or f"{error.type}: {error.message}",
            )
        case Crash():
            _log_crash(outcome)


def _run(outcome: Outcome) -> tuple[int, str, float, int]:
    claimed = outcome.claimed
    seconds = (outcome.finished_at - outcome.started_at).total_seconds()
    return claimed.id, claimed.name, seconds, claimed.attempt


def _log_retry(outcome: Retry) -> None:
    if outcome.spends_try:
        journal.warning(
            "Task %s %s failed in %.3f s (attempt %s), next try in %.1f s: %s: %s",
            *_run(outcome),
            outcome.delay,
            outcome.error.type,
            outcome.error.message,
        )
    else:
        journal.warning(
            "Task %s %s is parked for %.0f s, because it does not import here (after a deploy"
            " restart leek_server): %s: %s",
            outcome.claimed.id,
            outcome.claimed.name,
            outcome.delay,
            outcome.error.type,
            outcome.error.message,
        )


def _log_crash(outcome: Crash) -> None:
    if outcome.is_last:
        journal.error(
            "Task %s %s failed for good in %.3f s (attempt %s): %s",
            *_run(outcome),
            outcome.error.message,
        )
    else:
        journal.warning(
            "Task %s %s took its process down in %.3f s (attempt %s): that %s."
            " It runs again, alone (crash %s of %s)",
            *_run(outcome),
            outcome.how,
            outcome.crashes,
            outcome.max_crashes,
        )


def log_refused(outcome: Outcome) -> None:
    """Log that an outcome came too late: another server has taken the task in the meantime."""
    journal.error(
        "Task %s %s: the lease was lost while it ran (attempt %s); its outcome is dropped, and it"
        " runs again",
        outcome.claimed.id,
        outcome.claimed.name,
        outcome.claimed.attempt,
    )
