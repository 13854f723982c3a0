"""RUNNING ──settle──► SUCCESSFUL, FAILED, or back with an outcome"""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce

from leek.database import Now, after, insert_values
from leek.lifecycle import sets
from leek.models import FailedTasks, State, SuccessTasks, queue_database
from leek.outcome import Crash, Failure, Outcome, Retry, Success


def settle(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Record outcomes in one transaction; return those that were refused.

    An outcome is refused if its task is no longer its claim's. Then all are recorded one by one, so
    that one loser costs the others nothing.
    """
    try:
        _settle_together(outcomes)
    except sets.Superseded:
        if len(outcomes) == 1:
            return [] if _was_settled(outcomes[0]) else list(outcomes)
        return [refused for outcome in outcomes for refused in settle([outcome])]
    return []


def _settle_together(outcomes: Sequence[Outcome]) -> None:
    with transaction.atomic(using=queue_database()):
        _succeed([outcome for outcome in outcomes if isinstance(outcome, Success)])
        _fail([outcome for outcome in outcomes if isinstance(outcome, Failure)])
        for outcome in outcomes:
            if isinstance(outcome, Retry):
                _retry_later(outcome)
            elif isinstance(outcome, Crash):
                settle_crash(outcome)


def _succeed(outcomes: Sequence[Success]) -> None:
    sets.move(
        outcomes, state=State.SUCCESSFUL, tries=F("tries") + 1, unique_key=None, suspect=False
    )
    insert_values(
        queue_database(),
        SuccessTasks,
        ("task_id", "result", "started_at", "finished_at"),
        [(task.claimed.id, task.result, task.started_at, task.finished_at) for task in outcomes],
    )


def _fail(outcomes: Sequence[Failure]) -> None:
    sets.move(outcomes, state=State.FAILED, tries=F("tries") + 1, suspect=False)
    _record_failures(outcomes)


def settle_crash(outcome: Crash) -> None:
    """Charge a task with the end of the process that ran it, in the caller's transaction."""
    if outcome.is_last:
        sets.move([outcome], state=State.FAILED, crashes=outcome.crashes, suspect=False)
        _record_failures([outcome])
    else:
        sets.move([outcome], crashes=outcome.crashes, **sets.GIVEN_BACK)


def _record_failures(failed: Sequence[Failure | Crash]) -> None:
    """Write the outcome of tasks that are failed already, and free their unique keys."""
    if not failed:
        return
    rows = sets.tasks().filter(pk__in=[outcome.claimed.id for outcome in failed])
    keys = dict(rows.exclude(unique_key=None).values_list("pk", "unique_key"))
    FailedTasks.objects.using(queue_database()).bulk_create(
        FailedTasks(
            task_id=outcome.claimed.id,
            exception_type=outcome.error.type[:255],
            exception_message=outcome.error.message,
            traceback=outcome.error.traceback,
            unique_key=keys.get(outcome.claimed.id),
            started_at=outcome.started_at,
            finished_at=outcome.finished_at,
        )
        for outcome in failed
    )
    if keys:
        rows.update(unique_key=None)


def _retry_later(outcome: Retry) -> None:
    parked = None if outcome.spends_try else Coalesce("parked_since", Now())
    sets.move(
        [outcome],
        state=State.DEFERRED,
        owner=None,
        run_after=after(outcome.delay),
        tries=F("tries") + int(outcome.spends_try),
        suspect=False,
        parked_since=parked,
    )


def _was_settled(outcome: Outcome) -> bool:
    """Tell whether this very outcome is stored already: only the answer to its commit got lost."""
    claimed = outcome.claimed
    row = sets.tasks().filter(pk=claimed.id, claim=claimed.claim)
    match outcome:
        case Success():
            row = row.filter(owner=claimed.owner, state=State.SUCCESSFUL)
        case Failure() | Crash(is_last=True):
            row = row.filter(owner=claimed.owner, state=State.FAILED)
        case Retry(spends_try=True):
            row = row.filter(owner=None, tries=claimed.tries + 1)
        case Retry():
            row = row.filter(owner=None, tries=claimed.tries).exclude(parked_since=None)
        case Crash():
            row = row.filter(owner=None, crashes=outcome.crashes)
    return row.exists()
