"""Run a pushed task at once, in the pusher's process: for tests and for debugging.

The task goes through the same serializer, executor and records as in `leek_server`, so that what
production would refuse is refused here too. It is tried once, and its due time is not waited for.
"""

from leek import lifecycle
from leek.conf import config
from leek.connections import mended_transaction
from leek.models import QueuedTasks, queue_database
from leek.outcome import Failure, Outcome, Retry, Success
from leek.policy import terms_of_settings
from leek.server.executor import Executor


def run(row: QueuedTasks) -> None:
    """Run a task that was pushed but not claimed, record its outcome and load it into the row."""
    executor = Executor(terms_of_settings(), config.SERIALIZER, park_for=0, aliases=config.ALIASES)
    claimed = lifecycle.claim_one(row)
    with mended_transaction(queue_database()):
        outcome = _once(executor.run(claimed))
    if not (isinstance(outcome, Success) and outcome.is_stored):
        lifecycle.settle([outcome])
    row.refresh_from_db()


def _once(outcome: Outcome) -> Outcome:
    """Return a failure in place of another try."""
    if isinstance(outcome, Retry):
        return Failure(outcome.claimed, outcome.started_at, outcome.finished_at, outcome.error)
    return outcome
