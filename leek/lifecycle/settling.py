"""RUNNING ──settle──► SUCCESSFUL, FAILED, or back with an outcome"""

import json
from collections.abc import Sequence

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce

from leek.database import Now, after, has_one_writer, insert_values
from leek.lifecycle import sets
from leek.models import (
    AttemptLogs,
    FailedAttempts,
    FailedTasks,
    State,
    SuccessTasks,
    queue_database,
)
from leek.outcome import Blocked, Claimed, Crash, Ended, Failure, Outcome, Retry, Success

ATTEMPTS_KEPT = 20  # of each task, the latest that failed, besides the first
LONGEST_MESSAGE, LONGEST_TRACEBACK = 1_000, 10_000  # characters of each


def settle(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Record outcomes in one transaction; return those that were refused.

    An outcome is refused if its task is no longer its claim's. Then all are recorded one by one, so
    that one loser costs the others nothing.
    """
    if not outcomes:
        return []
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
        _block([outcome for outcome in outcomes if isinstance(outcome, Blocked)])
        _record_logs(outcomes)


def begin_with_write(claimed: Claimed) -> None:
    """Take the write lock where there is one for all, in the transaction of an atomic task.

    Without it a task that reads first could not write later, if somebody else did in between.
    Raise Superseded if the task is no longer its claim's.
    """
    if has_one_writer(queue_database()):
        mine = sets.claimed(claimed.owner, claimed.claim).filter(pk=claimed.id)
        if not mine.update(claim=claimed.claim):
            raise sets.Superseded


def settle_within(outcome: Success) -> None:
    """Record a success in the caller's transaction; raise Superseded if it came too late."""
    _succeed([outcome])
    _record_logs([outcome])


def _succeed(outcomes: Sequence[Success]) -> None:
    sets.move(
        outcomes, state=State.SUCCESSFUL, tries=F("tries") + 1, unique_key=None, suspect=False
    )
    insert_values(
        queue_database(),
        SuccessTasks,
        ("task_id", "result", "server_id", "started_at", "finished_at"),
        [
            (task.claimed.id, task.result, task.claimed.owner, task.started_at, task.finished_at)
            for task in outcomes
        ],
    )


def _fail(outcomes: Sequence[Failure]) -> None:
    sets.move(outcomes, state=State.FAILED, tries=F("tries") + 1, suspect=False)
    record_failures(outcomes)
    _record_attempts(outcomes)


def settle_crash(outcome: Crash) -> None:
    """Charge a task with the end of the process that ran it, in the caller's transaction."""
    if outcome.is_last:
        sets.move([outcome], state=State.FAILED, crashes=outcome.crashes, suspect=False)
        record_failures([outcome])
    else:
        sets.move([outcome], crashes=outcome.crashes, **sets.GIVEN_BACK)
    _record_attempts([outcome])


def record_failures(failed: Sequence[Failure | Crash]) -> None:
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
        limited_by=None,
        run_after=after(outcome.delay),
        tries=F("tries") + int(outcome.spends_try),
        suspect=False,
        parked_since=parked,
        **sets.NO_PROGRESS,
    )
    if outcome.spends_try:
        _record_attempts([outcome])


def _block(outcomes: Sequence[Blocked]) -> None:
    """Let tasks wait, each at its gate."""
    for gate in {outcome.gate for outcome in outcomes}:
        sets.move(
            [outcome for outcome in outcomes if outcome.gate == gate],
            state=State.BLOCKED,
            owner=None,
            limited_by=None,
            blocked_by=gate,
            **sets.NO_PROGRESS,
        )


def _record_attempts(failed: Sequence[Failure | Retry | Crash]) -> None:
    """Keep what went wrong, of each task the first and the latest times."""
    alias = queue_database()
    insert_values(
        alias,
        FailedAttempts,
        (
            "task_id",
            "attempt",
            "server_id",
            "exception_type",
            "exception_message",
            "traceback",
            "started_at",
            "finished_at",
        ),
        [
            (
                outcome.claimed.id,
                outcome.claimed.attempt,
                outcome.claimed.owner,
                outcome.error.type[:255],
                outcome.error.message[:LONGEST_MESSAGE],
                outcome.error.traceback[-LONGEST_TRACEBACK:],
                outcome.started_at,
                outcome.finished_at,
            )
            for outcome in failed
        ],
    )
    for outcome in failed:
        if (oldest := outcome.claimed.attempt - ATTEMPTS_KEPT) > 1:
            for kept in (FailedAttempts, AttemptLogs):
                rows = kept._default_manager.using(alias).filter(task=outcome.claimed.id)
                rows.filter(attempt__gt=1, attempt__lte=oldest).delete()


def _record_logs(outcomes: Sequence[Outcome]) -> None:
    """Keep what the attempts have logged, of those that have logged something."""
    insert_values(
        queue_database(),
        AttemptLogs,
        ("task_id", "attempt", "lines", "omitted"),
        [
            (ended.claimed.id, ended.claimed.attempt, json.dumps(logged.lines), logged.omitted)
            for ended in outcomes
            if isinstance(ended, Ended) and (logged := ended.logged)
        ],
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
        case Blocked():
            row = row.filter(owner=None)
    return row.exists()
