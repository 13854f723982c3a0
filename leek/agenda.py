"""What there is to do for a server. Read-only: it locks nothing, and moves nothing."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.db.models import Exists, OuterRef, Subquery, Value

from leek.database import CompiledQuery, DistinctValues, Now, aware, is_among, utc_offset
from leek.models import PausedQueues, QueuedTasks, Schedules, Servers, queue_database
from leek.queues import entry_of, is_pattern


@dataclass(frozen=True)
class Agenda:
    """What there is to do: work now, seconds until the next deferred task, others' dead servers.

    `suspects` are tasks to be run one at a time, `blocked` tasks wait at gates. Tasks of `paused`
    queues are nothing to do. `siblings` tells whether other servers live that can be reached.
    """

    ready: bool
    suspects: bool
    next_due: float | None
    dead_servers: bool
    blocked: bool = False
    registered: bool = True
    paused: frozenset[str] = frozenset()
    siblings: bool = False


def look(server_id: int, queues: Collection[str] | None) -> Agenda:
    """Tell what there is to do, in one statement; a few more with patterns or paused queues."""
    alias, chosen = queue_database(), None if queues is None else tuple(queues)
    query = _compiled(alias, QueuedTasks._meta.db_table, server_id, chosen, utc_offset(alias))
    if not (found := query.run()):
        return Agenda(False, False, next_due=None, dead_servers=False, registered=False)
    ready, suspects, due_at, dead_servers, blocked, any_paused, siblings, now = found[0]
    paused = paused_queues() if any_paused else frozenset()
    if paused or _has_pattern(queues):
        ready = _has_ready(queues, paused)
    if paused and suspects:
        waiting = QueuedTasks.objects.of_queues(queues).suspects()
        suspects = waiting.exclude(queue__in=paused).exists()
    next_due = max((due_at - now).total_seconds(), 0.0) if due_at else None
    return Agenda(
        bool(ready),
        bool(suspects),
        next_due,
        bool(dead_servers),
        bool(blocked),
        paused=paused,
        siblings=bool(siblings),
    )


@lru_cache(maxsize=8)
def _compiled(
    alias: str, table: str, server_id: int, queues: tuple[str, ...] | None, offset: int
) -> CompiledQuery:
    """Return the query, which is the same as long as table and offset are."""
    tasks = QueuedTasks.objects.using(alias).of_queues(queues)
    servers = Servers.objects.using(alias)
    return CompiledQuery(
        servers.filter(pk=server_id).values_list(
            Value(0) if _has_pattern(queues) else Exists(tasks.ready()),
            Exists(tasks.suspects()),
            Subquery(tasks.deferred().filter(suspect=False).values("run_after")[:1]),
            Exists(servers.filter(expires_at__lt=Now()).exclude(pk=OuterRef("pk"))),
            Exists(tasks.blocked()),
            Exists(PausedQueues.objects.using(alias)),
            Exists(
                servers.filter(expires_at__gte=Now(), port__gt=0).exclude(pk=OuterRef("pk")),
            ),
            Now(),
        )
    )


def ready_queues(
    queues: Collection[str] | None = None, paused: Collection[str] = frozenset()
) -> list[str]:
    """Return the names of the queues that have ready tasks, but for those that are paused.

    Without `queues` it is those of all, whoever serves them. Of names that the database holds equal
    it returns one.
    """
    alias = queue_database()
    return [
        name
        for name in _distinct(alias, QueuedTasks._meta.db_table).read()
        if (queues is None or entry_of(name, queues) is not None)
        and not is_among(alias, name, paused)
    ]


def paused_queues() -> frozenset[str]:
    """Return the names of the queues that are paused."""
    return frozenset(PausedQueues.objects.values_list("name", flat=True))


def _has_ready(queues: Collection[str] | None, paused: Collection[str]) -> bool:
    """Tell whether such queues have ready tasks, without reading all that are ready.

    A name that was found may be like a pattern but for its case, or stand for one that is.
    """
    names = ready_queues(queues, paused)
    ready = QueuedTasks.objects.of_queues(queues).ready()
    return bool(names) and ready.filter(queue__in=names).exists()


@lru_cache(maxsize=8)
def _distinct(alias: str, table: str) -> DistinctValues:
    """Return the query, which is the same as long as the tasks' table has this name."""
    return DistinctValues(QueuedTasks.objects.using(alias).ready(), "queue")


def _has_pattern(queues: Collection[str] | None) -> bool:
    """Tell whether to find one of these queues may take reading all ready tasks."""
    return any(map(is_pattern, queues or ()))


def orphaned(server_id: int) -> list[int]:
    """Return the ids that own claimed tasks but are of no server, other than this one's."""
    known = Servers.objects.filter(pk=OuterRef("owner"))
    claimed = QueuedTasks.objects.running().exclude(owner=None).exclude(owner=server_id)
    return list(claimed.exclude(Exists(known)).values_list("owner", flat=True).distinct())


def claimed_by(server_id: int) -> set[tuple[int, int]]:
    """Return the ids of the tasks that a server has claimed, each with the number of its claim."""
    claimed = QueuedTasks.objects.running().filter(owner=server_id)
    return set(claimed.order_by().values_list("pk", "claim"))


def queues_of(ids: Collection[int]) -> dict[int, str]:
    """Return the names of the queues of these tasks, by their ids."""
    return dict(QueuedTasks.objects.filter(pk__in=ids).order_by().values_list("pk", "queue"))


@dataclass(frozen=True)
class Handled:
    """Up to which due time a recurring task was pushed, and what time it is by the same clock."""

    name: str
    due_at: datetime
    now: datetime


def handled(names: Collection[str]) -> list[Handled]:
    """Return how far these recurring tasks were pushed, where they are known already."""
    rows = Schedules.objects.filter(name__in=names).values_list("name", "due_at", Now())
    return [Handled(name, aware(due_at), aware(now)) for name, due_at, now in rows]
