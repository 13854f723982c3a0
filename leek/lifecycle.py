"""The only place that moves a task between states: one function, one transaction per move.

    push ──► READY ──claim──► RUNNING ──settle──► SUCCESSFUL
               ▲  ◄──release, rescue──┤ ├────────► FAILED ──retry_failed──► READY
               └─promote── DEFERRED ◄─┘

A suspect is the exception: given back it is DEFERRED, and only `claim_suspect` takes it from there.

Each move of a claimed task is fenced: it changes a row only while it has this owner and this claim
number. Each transaction begins with a write, because one that begins with a read cannot become a
writer on SQLite while another one writes.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, When
from django.db.models.deletion import ProtectedError, RestrictedError
from django.db.models.functions import Coalesce
from django.utils import timezone

from leek.database import Now, after, claim_rows, insert_rows
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
from leek.outcome import Claimed, Crash, Failure, Outcome, Retry, Success

PUSH_BATCH = 1000
_COLUMNS = Claimed._fields[:-2]  # all but the fence
_GIVEN_BACK: dict[str, Any] = {
    "state": Case(When(suspect=True, then=State.DEFERRED), default=State.READY),
    "owner": None,
}


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
    due = _tasks().of_queues(queues).due().filter(suspect=False).values_list("pk", flat=True)
    return _tasks().filter(pk__in=list(due[:limit]), state=State.DEFERRED).update(state=State.READY)


def claim(server_id: int, number: int, limit: int, queues: list[str] | None) -> list[Claimed]:
    """Take up to `limit` ready tasks for a server, the most urgent first.

    `number` is one that the server has never used before.
    """
    return _claim(_tasks().of_queues(queues).ready(), server_id, number, limit)


def claim_suspect(server_id: int, number: int, queues: list[str] | None) -> list[Claimed]:
    """Take one suspect for a server that has no other, so that a crash can be charged to it."""
    return _claim(_tasks().of_queues(queues).suspects(), server_id, number, limit=1)


def _claim(
    candidates: QueuedTasksQuerySet, server_id: int, number: int, limit: int
) -> list[Claimed]:
    rows = claim_rows(
        candidates, limit, _COLUMNS, state=State.RUNNING, owner_id=server_id, claim=number
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
            elif isinstance(outcome, Crash):
                _crash(outcome)


def _succeed(outcomes: Sequence[Success]) -> None:
    _move(outcomes, state=State.SUCCESSFUL, tries=F("tries") + 1, unique_key=None, suspect=False)
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
    _move(outcomes, state=State.FAILED, tries=F("tries") + 1, suspect=False)
    _record_failures(outcomes)


def _crash(outcome: Crash) -> None:
    if outcome.is_last:
        _move([outcome], state=State.FAILED, crashes=outcome.crashes, suspect=False)
        _record_failures([outcome])
    else:
        _move([outcome], crashes=outcome.crashes, **_GIVEN_BACK)


def _record_failures(failed: Sequence[Failure | Crash]) -> None:
    """Write the outcome of tasks that are failed already, and free their unique keys."""
    rows = _tasks().filter(pk__in=[outcome.claimed.id for outcome in failed])
    keys = dict(rows.exclude(unique_key=None).values_list("pk", "unique_key")) if failed else {}
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
    _move(
        [outcome],
        state=State.DEFERRED,
        owner=None,
        run_after=after(outcome.delay),
        tries=F("tries") + int(outcome.spends_try),
        suspect=False,
        parked_since=parked,
    )


def _move(outcomes: Sequence[Outcome], **changes: Any) -> None:
    """Change the tasks of these outcomes; raise Superseded if one is no longer its claim's."""
    for fence, ids in _by_fence(outcome.claimed for outcome in outcomes).items():
        if _claimed(*fence).filter(pk__in=ids).update(**changes) != len(ids):
            raise Superseded


def _was_settled(outcome: Outcome) -> bool:
    """Tell whether this very outcome is stored already: only the answer to its commit got lost."""
    claimed = outcome.claimed
    row = _tasks().filter(pk=claimed.id, claim=claimed.claim)
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


# Give back


def release(claimed: Iterable[Claimed]) -> int:
    """Give claimed tasks back, at no cost to them; return how many were still their claim's."""
    return sum(
        _claimed(*fence).filter(pk__in=ids).update(**_GIVEN_BACK)
        for fence, ids in _by_fence(claimed).items()
    )


def postpone(claimed: Iterable[Claimed], seconds: float) -> None:
    """Give claimed tasks back, to be due in so many seconds, at no cost to them."""
    changes = {"state": State.DEFERRED, "owner": None, "run_after": after(seconds)}
    for fence, ids in _by_fence(claimed).items():
        _claimed(*fence).filter(pk__in=ids).update(**changes)


def release_claim(server_id: int, number: int) -> int:
    """Give back all that one claim took, after its answer got lost; return how many tasks."""
    return _claimed(server_id, number).update(**_GIVEN_BACK)


def release_all(server_id: int) -> int:
    """Give back all that a server has claimed; return how many tasks."""
    return _owned(server_id).update(**_GIVEN_BACK)


def rescue(
    dead: Servers,
    was_running: Collection[int] | None,
    max_crashes: int,
    *,
    even_if_renewed: bool = False,
) -> Rescued | None:
    """End the lease of a dead server and give its tasks back; return what became of them.

    Those that it was running crashed with it: at the `max_crashes`th crash a task fails as
    WorkerLost. Where nobody knows what it was running (`was_running` None), all are suspects;
    charged is only the one that was a suspect before, because a server runs these one at a time.
    Return None, and do nothing, if the lease was renewed in the meantime, or another server was
    faster.
    """
    alias = queue_database()
    lease = Servers.objects.using(alias).filter(pk=dead.pk)
    if not even_if_renewed:
        lease = lease.filter(expires_at__lt=Now())
    with transaction.atomic(using=alias):
        if not lease._raw_delete(alias):  # one statement: delete() may read first
            return None
        crashes = _crashes(dead.pk, was_running, max_crashes)
        for crash in crashes:
            _crash(crash)
        if was_running is None:
            _owned(dead.pk).update(suspect=True)
        lost = [crash.claimed.id for crash in crashes if crash.is_last]
        return Rescued(len(crashes) - len(lost) + release_all(dead.pk), lost)


def _crashes(server_id: int, was_running: Collection[int] | None, max_crashes: int) -> list[Crash]:
    """Return the crashes of the tasks that a dead server was running."""
    owned = _owned(server_id)
    known = {"suspect": True} if was_running is None else {"pk__in": was_running}
    now = timezone.now()
    return [
        Crash(Claimed._make(row), now, now, "died", max_crashes)
        for row in owned.filter(**known).values_list(*Claimed._fields)
    ]


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
                suspect=False,
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
    if not ids:
        return 0
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
