"""Read-only figures of the queue."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, Min
from django.utils import timezone

from leek.conf import config
from leek.database import Now, aware
from leek.models import Gates, QueuedTasks, Schedules, Servers, State

MOST_GATES = 100  # shown, those with the most tasks
LONGEST_TEXT = 200  # characters that are shown of a reason or a message


@dataclass(frozen=True)
class ServerFigures:
    """One `leek_server` that holds a lease."""

    host: str
    address: str
    port: int
    pid: int
    workers: int
    queues: list[str] | None
    weights: dict[str, int] | None
    started_at: str
    running: int


@dataclass(frozen=True)
class ScheduleFigures:
    """A recurring task: its next due time, and the last one for which it was pushed, as which task.

    Times are in the site's zone; None where there is no such time.
    """

    name: str
    next_due: datetime | None
    last_due: datetime | None
    task_id: int | None


@dataclass(frozen=True)
class GateFigures:
    """A gate at which tasks wait, and how many; in an outage since when, and why."""

    name: str
    tasks: int
    since: str | None
    reason: str


@dataclass(frozen=True)
class Figures:
    """The queue at a glance, as the database has it.

    `oldest_waiting` is the time in seconds that the longest waiting due task has been due, None
    if none waits.
    """

    oldest_waiting: float | None
    waiting: int
    deferred: int
    running: int
    successful: int
    failed: int
    blocked: int
    gates: list[GateFigures]
    servers: list[ServerFigures]
    schedules: list[ScheduleFigures]


def waiting() -> int:
    """Return the number of due tasks that no server has claimed."""
    return QueuedTasks.objects.ready().count() + QueuedTasks.objects.due().count()


def figures() -> Figures:
    """Count the tasks by state, and list the servers."""
    counts: dict[int, int] = dict(
        QueuedTasks.objects.order_by().values_list("state").annotate(number=Count("pk"))
    )
    due = QueuedTasks.objects.due().count()
    return Figures(
        oldest_waiting=_oldest_waiting(),
        waiting=counts.get(State.READY, 0) + due,
        deferred=counts.get(State.DEFERRED, 0) - due,
        running=counts.get(State.RUNNING, 0),
        successful=counts.get(State.SUCCESSFUL, 0),
        failed=counts.get(State.FAILED, 0),
        blocked=counts.get(State.BLOCKED, 0),
        gates=_gate_figures(),
        servers=_server_figures(),
        schedules=_schedule_figures(datetime.now(UTC)),
    )


def _oldest_waiting() -> float | None:
    times = [
        rows.order_by().aggregate(oldest=Min("run_after"))["oldest"]
        for rows in (QueuedTasks.objects.ready(), QueuedTasks.objects.due())
    ]
    if not any(times):
        return None
    oldest: datetime = min(time for time in times if time)
    return max((timezone.now() - oldest).total_seconds(), 0.0)


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
    numbers = dict(blocked.annotate(number=Count("pk")).order_by("-number")[:MOST_GATES])
    known = {gate.name: gate for gate in Gates.objects.filter(name__in=list(numbers))}
    return [_gate(name, number, known.get(name)) for name, number in numbers.items()]


def _gate(name: str, number: int, gate: Gates | None) -> GateFigures:
    since = gate and gate.closed_since
    return GateFigures(name, number, moment(since) if since else None, gate.reason if gate else "")


def _server_figures() -> list[ServerFigures]:
    running: dict[Any, int] = dict(
        QueuedTasks.objects.running().order_by().values_list("owner").annotate(number=Count("pk"))
    )
    alive = Servers.objects.filter(expires_at__gte=Now())
    return [
        ServerFigures(
            host=server.hostname,
            address=server.address,
            port=server.port,
            pid=server.pid,
            workers=server.workers,
            queues=None if server.queues is None else [*server.queues],
            weights=server.queues if isinstance(server.queues, dict) else None,
            started_at=server.started_at.isoformat(),
            running=running.get(server.pk, 0),
        )
        for server in alive.order_by("pk")
    ]


def _schedule_figures(now: datetime) -> list[ScheduleFigures]:
    pushed = {
        row.name: (aware(row.due_at), row.task_id) for row in Schedules.objects.exclude(task=None)
    }
    figures = []
    for name, schedule in config.SCHEDULE.items():
        next_due, (last_due, task_id) = schedule.next_due(now), pushed.get(name, (None, None))
        figures.append(ScheduleFigures(name, _local(next_due), _local(last_due), task_id))
    return figures


def _local(time: datetime | None) -> datetime | None:
    return time and timezone.localtime(time)
