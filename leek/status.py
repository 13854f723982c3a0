"""Read-only figures of the queue."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from leek import queue_figures
from leek.conf import config
from leek.database import Now, aware, counts
from leek.figures import (
    Figures,
    GateFigures,
    Number,
    QueueFigures,
    RunningFigures,
    ScheduleFigures,
    ServerFigures,
)
from leek.leases import reachable_at
from leek.models import FailedTasks, Gates, QueuedTasks, Schedules, Servers, SuccessTasks

__all__ = [
    "CAP",
    "Figures",
    "GateFigures",
    "Number",
    "QueueFigures",
    "RunningFigures",
    "ScheduleFigures",
    "ServerFigures",
    "brief",
    "figures",
    "moment",
    "waiting",
]

CAP = 500_000  # where those end counting who look often
MOST_GATES = 100  # shown, those with the most tasks
MOST_RUNNING = 1000  # tasks shown of all servers together, those that have run the longest
LONGEST_TEXT = 200  # characters that are shown of a reason or a message


def waiting() -> int:
    """Return the number of due tasks that no server has claimed."""
    return sum(counts([QueuedTasks.objects.ready(), QueuedTasks.objects.due()]))


def figures(count_up_to: int | None = None) -> Figures:
    """Count the tasks by state, and list queues and servers, in at most eleven statements.

    With `count_up_to` it is done quickly, for who looks often: what is deferred, blocked or
    finished is counted so far and no further, and how long tasks have waited is told by the first
    in line (see `queue_figures.read`). Else all figures are exact.
    """
    due, deferred, running, blocked, successful, failed = _counts(count_up_to)
    waits = queue_figures.read(due, quickly=count_up_to is not None)
    servers = _server_figures()
    relayed = sum(server.running for server in servers if not server.workers)  # and not begun
    return Figures(
        oldest_waiting=waits.oldest,
        waiting=Number(waits.ready + due + relayed, is_capped=due.is_capped),
        deferred=deferred,
        running=Number(max(running - relayed, 0), is_capped=running.is_capped),
        successful=successful,
        failed=failed,
        blocked=blocked,
        gates=_gate_figures() if blocked else [],
        servers=servers,
        schedules=_schedule_figures(datetime.now(UTC)),
        queues=waits.queues,
        count_up_to=count_up_to,
    )


def _counts(up_to: int | None) -> list[Number]:
    sets = [
        QueuedTasks.objects.due(),
        QueuedTasks.objects.deferred().filter(run_after__gt=Now()),
        QueuedTasks.objects.running(),
        QueuedTasks.objects.blocked(),
        SuccessTasks.objects.all(),
        FailedTasks.objects.all(),
    ]
    return [Number(number, is_capped=number == up_to) for number in counts(sets, up_to)]


def moment(time: datetime) -> str:
    """Return a stored time as it is shown: in the site's time zone, to the second."""
    local = timezone.localtime(time) if timezone.is_aware(time) else time
    return local.isoformat(" ", "seconds")


def brief(text: str) -> str:
    """Return the beginning of a text as one line."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]}..."


def _gate_figures() -> list[GateFigures]:
    blocked = QueuedTasks.objects.blocked().order_by().values_list("blocked_by")
    numbers = dict(blocked.annotate(number=Count("*")).order_by("-number")[:MOST_GATES])
    known = {gate.name: gate for gate in Gates.objects.filter(name__in=list(numbers))}
    return [_gate(name, number, known.get(name)) for name, number in numbers.items()]


def _gate(name: str, number: int, gate: Gates | None) -> GateFigures:
    closed = gate and gate.closed_since
    since = timezone.localtime(aware(closed)) if closed else None
    return GateFigures(name, number, since, gate.reason if gate else "")


def _server_figures() -> list[ServerFigures]:
    claimed = QueuedTasks.objects.running().filter(owner=OuterRef("pk")).order_by().values("owner")
    number = Subquery(claimed.annotate(number=Count("*")).values("number"))
    alive = list(
        Servers.objects.filter(expires_at__gte=Now())
        .annotate(claimed=Coalesce(number, 0))
        .order_by("pk")
    )
    running = _running_figures(alive)
    return [
        ServerFigures(
            host=server.hostname,
            address=server.address,
            port=server.port,
            pid=server.pid,
            workers=server.workers,
            queues=None if server.queues is None else [*server.queues],
            weights=server.queues if isinstance(server.queues, dict) else None,
            started_at=timezone.localtime(aware(server.started_at)).isoformat(),
            running=server.claimed,
            running_tasks=running[server.pk],
            place=reachable_at(server),
        )
        for server in alive
    ]


def _running_figures(servers: Sequence[Servers]) -> dict[int, list[RunningFigures]]:
    """Return what each server is still running of what it has noted, by its id."""
    noted = sorted(
        (datetime.fromisoformat(since), int(task_id), server.pk)
        for server in servers
        for task_id, since in server.running.items()
    )[:MOST_RUNNING]
    running = QueuedTasks.objects.running().filter(pk__in=[task_id for _, task_id, _ in noted])
    columns = ("owner", "name", "progress_done", "progress_total")
    rows = running.order_by().values_list("pk", *columns) if noted else ()
    found: dict[int, Any] = {task_id: told for task_id, *told in rows}
    figures: dict[int, list[RunningFigures]] = {server.pk: [] for server in servers}
    for since, task_id, server_id in noted:
        owner, name, done, total = found.get(task_id, (None, "", None, None))
        if owner == server_id:
            running_since = timezone.localtime(aware(since))
            figures[server_id].append(RunningFigures(task_id, name, running_since, done, total))
    return figures


def _schedule_figures(now: datetime) -> list[ScheduleFigures]:
    if not (schedules := config.SCHEDULE):
        return []
    pushed = {
        row.name: (aware(row.due_at), row.task_id) for row in Schedules.objects.exclude(task=None)
    }
    figures = []
    for name, schedule in schedules.items():
        next_due, (last_due, task_id) = schedule.next_due(now), pushed.get(name, (None, None))
        figures.append(ScheduleFigures(name, _local(next_due), _local(last_due), task_id))
    return figures


def _local(time: datetime | None) -> datetime | None:
    return time and timezone.localtime(time)
