"""The only place that moves a task between states: one function, one transaction per move.

    push ──► READY ──claim──► RUNNING ──settle──► SUCCESSFUL
               ▲  ◄──release, rescue──┤ ├────────► FAILED ──retry_failed──► READY
               └─promote── DEFERRED ◄─┘

Each move of a claimed task is fenced: it changes a row only while it has this owner and this claim
number. Each transaction begins with a write, because one that begins with a read cannot become a
writer on SQLite while another one writes.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.deletion import ProtectedError, RestrictedError
from django.db.models.functions import Coalesce
from django.utils import timezone

from leek.database import Now, after, claim_rows, insert_rows
from leek.exceptions import WorkerLost
from leek.models import (
    FailedTasks,
    QueuedTasks,
    QueuedTasksQuerySet,
    Servers,
    State,
    SuccessTasks,
    has_referrers,
    queue_database,
)
from leek.outcome import Claimed, ErrorReport, Failure, Outcome, Retry, Success

PUSH_BATCH = 1000
_COLUMNS = Claimed._fields[:-2]  # all but the fence
_GIVEN_BACK: dict[str, Any] = {"state": State.READY, "owner": None}


class Superseded(Exception):
    """Some rows are no longer their claim's."""


class Rescued(NamedTuple):
    """What became of a dead server's tasks: the number given back, the ids of those that failed."""

    given_back: int
    lost: list[int]


# Push


def push(row: QueuedTasks) -> QueuedTasks:
    """Store a new task, in the caller's transaction if there is one."""
    row.save(force_insert=True, using=queue_database())
    return row


def push_many(rows: Sequence[QueuedTasks]) -> list[QueuedTasks]:
    """Store new tasks in their order, all or none."""
    return insert_rows(_tasks(), rows, PUSH_BATCH)


# Claim


def promote(queues: list[str] | None, limit: int) -> int:
    """Make up to `limit` deferred tasks ready whose time has come; return how many."""
    due = list(_tasks().of_queues(queues).due().values_list("pk", flat=True)[:limit])
    return _tasks().filter(pk__in=due, state=State.DEFERRED).update(state=State.READY)


def claim(server_id: int, number: int, limit: int, queues: list[str] | None) -> list[Claimed]:
    """Take up to `limit` ready tasks for a server, the most urgent first.

    `number` is one that the server has never used before.
    """
    rows = claim_rows(
        _tasks().of_queues(queues).ready(),
        limit,
        _COLUMNS,
        state=State.RUNNING,
        owner_id=server_id,
        claim=number,
    )
    return [Claimed._make((*row, server_id, number)) for row in rows]


def claim_one(row: QueuedTasks) -> Claimed:
    """Take one unclaimed task for the caller's own process, which has no lease."""
    number = row.claim + 1
    _tasks().filter(pk=row.pk, state__in=(State.READY, State.DEFERRED)).update(
        state=State.RUNNING, claim=number
    )
    columns = _claimed(None, number).values_list(*_COLUMNS).get(pk=row.pk)
    return Claimed._make((*columns, None, number))


# Settle


def settle(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Record outcomes in one transaction; return those that were refused.

    An outcome is refused if its task is no longer its claim's. Then all are recorded one by one, so
    that one loser costs the others nothing.
    """
    try:
        _settle_together(outcomes)
    except Superseded:
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


def _succeed(outcomes: Sequence[Success]) -> None:
    _move(outcomes, state=State.SUCCESSFUL, tries=F("tries") + 1, unique_key=None)
    SuccessTasks.objects.using(queue_database()).bulk_create(
        SuccessTasks(
            task_id=outcome.claimed.id,
            result=outcome.result,
            started_at=outcome.started_at,
            finished_at=outcome.finished_at,
        )
        for outcome in outcomes
    )


def _fail(outcomes: Sequence[Failure]) -> None:
    _move(outcomes, state=State.FAILED, tries=F("tries") + 1)
    _record_failures(
        [
            (outcome.claimed.id, outcome.error, outcome.started_at, outcome.finished_at)
            for outcome in outcomes
        ]
    )


def _record_failures(failed: Sequence[tuple[int, ErrorReport, datetime, datetime]]) -> None:
    """Write the outcome of tasks that are failed already, and free their unique keys."""
    rows = _tasks().filter(pk__in=[failure[0] for failure in failed])
    keys = dict(rows.exclude(unique_key=None).values_list("pk", "unique_key")) if failed else {}
    FailedTasks.objects.using(queue_database()).bulk_create(
        FailedTasks(
            task_id=task_id,
            exception_type=error.type[:255],
            exception_message=error.message,
            traceback=error.traceback,
            unique_key=keys.get(task_id),
            started_at=started_at,
            finished_at=finished_at,
        )
        for task_id, error, started_at, finished_at in failed
    )
    if keys:
        rows.update(unique_key=None)


def _retry_later(outcome: Retry) -> None:
    parked = {} if outcome.spends_try else {"parked_since": Coalesce("parked_since", Now())}
    _move(
        [outcome],
        state=State.DEFERRED,
        owner=None,
        run_after=after(outcome.delay),
        tries=F("tries") + int(outcome.spends_try),
        **parked,
    )


def _move(outcomes: Sequence[Outcome], **changes: Any) -> None:
    """Change the tasks of these outcomes; raise Superseded if one is no longer its claim's."""
    for fence, ids in _by_fence(outcome.claimed for outcome in outcomes).items():
        if _claimed(*fence).filter(pk__in=ids).update(**changes) != len(ids):
            raise Superseded


def _was_settled(outcome: Outcome) -> bool:
    """Tell whether this very outcome is stored already: only the answer to its commit got lost."""
    claimed = outcome.claimed
    finished = {Success: State.SUCCESSFUL, Failure: State.FAILED}.get(type(outcome))
    return (
        finished is not None
        and _tasks()
        .filter(pk=claimed.id, owner=claimed.owner, claim=claimed.claim, state=finished)
        .exists()
    )


# Give back


def release(claimed: Iterable[Claimed]) -> int:
    """Give claimed tasks back, at no cost to them; return how many were still their claim's."""
    return sum(
        _claimed(*fence).filter(pk__in=ids).update(**_GIVEN_BACK)
        for fence, ids in _by_fence(claimed).items()
    )


def release_claim(server_id: int, number: int) -> int:
    """Give back all that one claim took, after its answer got lost; return how many tasks."""
    return _claimed(server_id, number).update(**_GIVEN_BACK)


def release_all(server_id: int) -> int:
    """Give back all that a server has claimed; return how many tasks."""
    return _owned(server_id).update(**_GIVEN_BACK)


def rescue(
    dead: Servers, was_running: Collection[int], max_crashes: int, *, even_if_renewed: bool = False
) -> Rescued | None:
    """End the lease of a dead server and give its tasks back; return what became of them.

    Those that it was running crashed with it: at the `max_crashes`th crash a task fails as
    WorkerLost. Return None, and do nothing, if the lease was renewed in the meantime, or another
    server was faster.
    """
    alias = queue_database()
    lease = Servers.objects.using(alias).filter(pk=dead.pk)
    if not even_if_renewed:
        lease = lease.filter(expires_at__lt=Now())
    with transaction.atomic(using=alias):
        if not lease._raw_delete(alias):  # one statement: delete() may read first
            return None
        crashed = _owned(dead.pk).filter(pk__in=was_running)
        lost = _lose(crashed.filter(crashes__gte=max_crashes - 1))
        crashed.update(crashes=F("crashes") + 1)
        return Rescued(given_back=release_all(dead.pk), lost=lost)


def _lose(crashed: QuerySet[QueuedTasks]) -> list[int]:
    """Fail tasks whose process died once too often; return their ids."""
    now = timezone.now()
    failed = []
    for task_id, crashes in list(crashed.values_list("pk", "crashes")):
        message = f"the process running it died, for the {crashes + 1}. time"
        error = ErrorReport(f"{WorkerLost.__module__}.{WorkerLost.__qualname__}", message)
        failed.append((task_id, error, now, now))
    crashed.update(state=State.FAILED, owner=None, crashes=F("crashes") + 1)
    _record_failures(failed)
    return [failure[0] for failure in failed]


# Finished tasks


def retry_failed(ids: Sequence[int]) -> int:
    """Push failed tasks back, with clean counters and without their error; return how many."""
    alias = queue_database()
    with transaction.atomic(using=alias):
        pushed = (
            _tasks()
            .filter(pk__in=ids, state=State.FAILED)
            .update(
                state=State.READY,
                tries=0,
                crashes=0,
                parked_since=None,
                owner=None,
                run_after=Now(),
            )
        )
        FailedTasks.objects.using(alias).filter(pk__in=ids, task__state=State.READY).delete()
    return pushed


def purge(ids: Sequence[int]) -> int:
    """Delete finished tasks with their outcome; return how many.

    Models of the site that refer to them have their `on_delete` obeyed: what they protect stays.
    """
    try:
        with transaction.atomic(using=queue_database()):
            return _delete_finished(ids)
    except (ProtectedError, RestrictedError):
        half = len(ids) // 2
        return purge(ids[:half]) + purge(ids[half:]) if half else 0


def _delete_finished(ids: Sequence[int]) -> int:
    alias = queue_database()
    finished = _tasks().filter(pk__in=ids, state__in=(State.SUCCESSFUL, State.FAILED))
    if has_referrers(alias):
        finished.update(state=F("state"))  # locks them, and begins the transaction with a write
        return finished.only("pk").delete()[1].get(QueuedTasks._meta.label, 0)
    deleted = finished._raw_delete(alias)
    gone = ~Exists(_tasks().filter(pk=OuterRef("pk")))
    for outcomes in (SuccessTasks, FailedTasks):
        outcomes._default_manager.using(alias).filter(gone, pk__in=ids)._raw_delete(alias)
    return deleted


# Sets of rows


def _tasks() -> QueuedTasksQuerySet:
    return QueuedTasks.objects.using(queue_database())


def _claimed(server_id: int | None, number: int) -> QueuedTasksQuerySet:
    return _tasks().running().filter(owner=server_id, claim=number)


def _owned(server_id: int) -> QueuedTasksQuerySet:
    return _tasks().running().filter(owner=server_id)


def _by_fence(claimed: Iterable[Claimed]) -> dict[tuple[int | None, int], list[int]]:
    ids = defaultdict(list)
    for task in claimed:
        ids[task.owner, task.claim].append(task.id)
    return ids
