"""Where one task is, and why it is there."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone

from leek.conf import config
from leek.database import Now
from leek.models import Gates, QueuedTasks, Servers, State
from leek.status import brief, moment


@dataclass(frozen=True)
class Explanation:
    """A task, its status, and in words why it has that."""

    id: int
    name: str
    queue: str
    priority: int
    status: str
    explanation: str


def explain(task_id: int, is_listening: Callable[[], bool]) -> Explanation:
    """Tell where a task is, and why; raise QueuedTasks.DoesNotExist.

    `is_listening` asks whether a server answers where the settings say.
    """
    row = QueuedTasks.objects.get(pk=task_id)
    reasons = {
        State.READY: lambda: _waiting(row, is_listening),
        State.DEFERRED: lambda: _deferred(row, is_listening),
        State.BLOCKED: lambda: _blocked(row),
        State.RUNNING: lambda: _running(row),
        State.SUCCESSFUL: lambda: _succeeded(row),
        State.FAILED: lambda: _failed(row),
    }
    reason = reasons[State(row.state)]()
    return Explanation(row.pk, row.name, row.queue, row.priority, row.status.value, reason)


def _waiting(row: QueuedTasks, is_listening: Callable[[], bool]) -> str:
    servers = list(Servers.objects.filter(expires_at__gte=Now()))
    if not is_listening():  # one that was just killed still has its lease
        servers = [server for server in servers if server.port != config.TASKS_PORT]
    if not servers:
        place = f"{config.TASKS_HOST}:{config.TASKS_PORT}"
        return f"waiting: no server is listening at {place}"
    this = QueuedTasks.objects.filter(pk=row.pk)
    if not any(this.of_queues(server.queues).exists() for server in servers):
        return f'waiting: no running server serves the queue "{row.queue}"'
    if row.suspect:
        return "waiting to run alone, because a server died that had claimed it"
    more_urgent = Q(priority__gt=row.priority) | Q(priority=row.priority, pk__lt=row.pk)
    ahead = QueuedTasks.objects.ready().filter(more_urgent, queue=row.queue).count()
    return f"waiting: {ahead} task(s) of its queue are ahead of it"


def _deferred(row: QueuedTasks, is_listening: Callable[[], bool]) -> str:
    if row.run_after <= timezone.now():
        return _waiting(row, is_listening)
    if row.parked_since:
        since = moment(row.parked_since)
        return f"parked until {moment(row.run_after)}: it has not imported since {since}"
    until = f"deferred until {moment(row.run_after)}"
    if latest := row.failed_attempts.order_by("pk").last():
        error = f"{latest.exception_type}: {brief(latest.exception_message)}"
        return f"{until}, after attempt {latest.attempt} failed: {error}"
    return until


def _blocked(row: QueuedTasks) -> str:
    gate = Gates.objects.filter(name=row.blocked_by).first()
    if gate and gate.closed_since:
        return f"blocked by {gate.name} since {moment(gate.closed_since)}: {brief(gate.reason)}"
    if gate and gate.capacity:
        per = f"in {gate.period:g} s" if gate.period else "at a time"
        return f"blocked by {gate.name}, which lets through {gate.capacity} {per}"
    return f"blocked by {row.blocked_by}"


def _running(row: QueuedTasks) -> str:
    attempt = row.tries + row.crashes + 1
    done = "" if row.progress_done is None else f", {row.progress_done}"
    progress = f"{done} of {row.progress_total}" if done and row.progress_total else done
    if row.owner_id is None:
        where = "in the process that pushed it"
    elif server := Servers.objects.filter(pk=row.owner_id).first():
        is_over = not Servers.objects.filter(pk=server.pk, expires_at__gte=Now()).exists()
        where = f"on {server}{', whose lease is over' if is_over else ''}"
    else:
        where = "on a server that is gone: another one gives it back"
    return f"running {where}, attempt {attempt}{progress}"


def _succeeded(row: QueuedTasks) -> str:
    outcome = row.success
    seconds = (outcome.finished_at - outcome.started_at).total_seconds()
    return f"succeeded at {moment(outcome.finished_at)}, in {seconds:.3f} s"


def _failed(row: QueuedTasks) -> str:
    outcome = row.failure
    error = f"{outcome.exception_type}: {brief(outcome.exception_message)}"
    return f"failed at {moment(outcome.finished_at)}: {error}"
