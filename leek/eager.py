"""Run a pushed task at once, in the pusher's process: for tests and for debugging.

The task goes through the same serializer, executor and records as in `leek_server`, so that what
production would refuse is refused here too, and it sees no context variable that would not be
there. It is tried once, and its due time is not waited for.
"""

from collections import deque
from contextvars import Context

from leek import lifecycle
from leek.announcing import tidings_of
from leek.conf import config
from leek.connections import mended_transaction
from leek.models import QueuedTasks, queue_database
from leek.outcome import ErrorReport, Failure, Outcome, Progress, Success, Undone
from leek.policy import terms_of_settings
from leek.server.executor import Executor

_UNDONE = ErrorReport(
    "django.db.utils.DatabaseError",
    "the database failed before the task began, or what it wrote could not be committed",
)


def run(row: QueuedTasks) -> None:
    """Run a task that was pushed but not claimed, record its outcome and load it into the row."""
    _record(row, _outcome(row, tries_once=True))


def attempt(row: QueuedTasks) -> Outcome:
    """Do as `run`, but let a task that fails wait for its next try; return what is recorded."""
    outcome = _outcome(row, tries_once=False)
    _record(row, outcome)
    return outcome


def _outcome(row: QueuedTasks, *, tries_once: bool) -> Outcome:
    latest: deque[Progress] = deque(maxlen=1)
    executor = Executor(
        terms_of_settings(),
        config.SERIALIZER,
        park_for=0,
        aliases=config.ALIASES,
        tries_once=tries_once,
        on_progress=latest.append,
        log_lines=config.LOG_LINES,
    )
    claimed = lifecycle.claim_one(row)
    with mended_transaction(queue_database()):
        outcome = Context().run(executor.run, claimed)
    lifecycle.note_progress(latest)
    if isinstance(outcome, Undone):  # nobody else is in the way, so it would be in vain again
        return Failure(claimed, outcome.started_at, outcome.finished_at, _UNDONE)
    return outcome


def _record(row: QueuedTasks, outcome: Outcome) -> None:
    if not (isinstance(outcome, Success) and outcome.is_stored):
        lifecycle.settle([outcome])
    row.refresh_from_db()
    for tidings in tidings_of(outcome):
        tidings.send()
