"""READY ──claim──► RUNNING, and DEFERRED ──promote──► READY"""

from collections.abc import Collection, Mapping
from functools import lru_cache

from django.utils import timezone

from leek.database import ClaimStatement, update_unlocked, utc_offset
from leek.lifecycle import sets
from leek.models import QueuedTasks, QueuedTasksQuerySet, State, queue_database
from leek.outcome import Claimed


def promote(queues: Collection[str] | None, limit: int) -> int:
    """Make up to `limit` deferred tasks ready whose time has come; return how many.

    One that somebody else has locked, to cancel it, say, is left for later: no other waits for it.
    """
    due = sets.tasks().of_queues(queues).due().filter(suspect=False)
    return update_unlocked(due, limit, state=State.READY)


def claim(
    server_id: int,
    number: int,
    limit: int,
    queues: Collection[str] | None,
    among: Collection[str] | None = None,
) -> list[Claimed]:
    """Take up to `limit` ready tasks for a server, the most urgent first.

    `number` is one that the server has never used before. `among` are the names of some of the
    queues, to which the claim is narrowed.
    """
    statement = _claim_ready(
        queue_database(),
        QueuedTasks._meta.db_table,
        None if queues is None else tuple(queues),
        None if among is None else tuple(among),
        utc_offset(queue_database()),
    )
    return claim_by(statement, server_id, number, limit)


def claim_suspect(
    server_id: int,
    number: int,
    queues: Collection[str] | None,
    closed: Collection[str] = frozenset(),
) -> list[Claimed]:
    """Take one suspect for a server that runs no other, so that a crash can be charged to it.

    `closed` are the names of some of the queues, of which none is taken.
    """
    suspects = sets.tasks().of_queues(queues).suspects().exclude(queue__in=closed)
    return claim_by(statement_for(suspects), server_id, number, limit=1)


@lru_cache
def _claim_ready(
    alias: str,
    table: str,
    queues: tuple[str, ...] | None,
    among: tuple[str, ...] | None,
    offset: int,
) -> ClaimStatement:
    """Return the statement that claims ready tasks: compiling it takes longer than running it.

    It stays the same as long as the tasks' table has this name, and the offset is the same.
    """
    tasks = QueuedTasks.objects.using(alias).of_queues(queues).ready()
    return statement_for(tasks if among is None else tasks.filter(queue__in=among))


def statement_for(candidates: QueuedTasksQuerySet) -> ClaimStatement:
    """Return the statement that claims the first of these tasks."""
    changed = ("state", "owner", "claim", "claimed_at")
    return ClaimStatement(candidates, sets.COLUMNS, age_of="run_after", changed=changed)


def claim_by(
    statement: ClaimStatement,
    server_id: int,
    number: int,
    limit: int,
    meant: Mapping[int, int] | None = None,
) -> list[Claimed]:
    """Claim up to `limit` tasks for a server by a statement, and return them."""
    now = timezone.now()
    rows = statement.run(limit, (State.RUNNING.value, server_id, number, now), meant)
    claimed = [Claimed._make((*row, now, server_id, number)) for row in rows]
    return sorted(claimed, key=lambda task: (-task.priority, task.id))


def claim_one(row: QueuedTasks) -> Claimed:
    """Take one unclaimed task for the caller's own process, which has no lease."""
    number = row.claim + 1
    sets.tasks().filter(pk=row.pk, state__in=(State.READY, State.DEFERRED)).update(
        state=State.RUNNING, claim=number, claimed_at=timezone.now()
    )
    (claimed,) = sets.as_claimed(sets.claimed(None, number).filter(pk=row.pk))
    return claimed
