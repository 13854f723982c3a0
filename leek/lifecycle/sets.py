"""The sets of rows that moves are made of, and the fence around those that are claimed."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Case, QuerySet, When
from django.utils import timezone

from leek.models import QueuedTasks, QueuedTasksQuerySet, State, queue_database
from leek.outcome import Claimed, Outcome

COLUMNS = Claimed._fields[:-4]  # what the row of a claimed task is read by, but for its claim
NO_PROGRESS: dict[str, Any] = {"progress_done": None, "progress_total": None}
GIVEN_BACK: dict[str, Any] = NO_PROGRESS | {
    "state": Case(When(suspect=True, then=State.DEFERRED), default=State.READY),
    "owner": None,
    "limited_by": None,
}


class Superseded(Exception):
    """Some rows are no longer their claim's."""


def tasks() -> QueuedTasksQuerySet:
    """Return all tasks."""
    return QueuedTasks.objects.using(queue_database())


def claimed(server_id: int | None, number: int) -> QueuedTasksQuerySet:
    """Return the tasks that one claim of a server took, and that are still its: the fence."""
    return tasks().running().filter(owner=server_id, claim=number)


def owned(server_id: int) -> QueuedTasksQuerySet:
    """Return the tasks that a server has claimed, by whichever claim."""
    return tasks().running().filter(owner=server_id)


def as_claimed(rows: QuerySet[QueuedTasks]) -> list[Claimed]:
    """Return tasks as their latest claim has them; how long they had waited then is not known."""
    now = timezone.now()
    return [
        Claimed._make((*row, 0.0, claimed_at or now, owner, claim))
        for claimed_at, owner, claim, *row in rows.values_list(
            "claimed_at", "owner", "claim", *COLUMNS
        )
    ]


def by_fence(claimed: Iterable[Claimed]) -> dict[tuple[int | None, int], list[int]]:
    """Return the ids of claimed tasks, by owner and claim number."""
    ids = defaultdict(list)
    for task in claimed:
        ids[task.owner, task.claim].append(task.id)
    return ids


def move(outcomes: Sequence[Outcome], **changes: Any) -> None:
    """Change the tasks of these outcomes; raise Superseded if one is no longer its claim's."""
    for fence, ids in by_fence(outcome.claimed for outcome in outcomes).items():
        if claimed(*fence).filter(pk__in=ids).update(**changes) != len(ids):
            raise Superseded
