"""What is done with a task by way of its row."""

from collections.abc import Sequence

from leek import client, leases, lifecycle
from leek.announcing import tidings_of
from leek.awaiting import wait, wait_in_loop
from leek.exceptions import ServerUnreachable
from leek.models import QueuedTasks, Servers
from leek.outcome import Failure
from leek.protocol import about_task
from leek.storing import start

__all__ = ["cancel", "cancel_many", "retry", "wait", "wait_in_loop"]


def retry(row: QueuedTasks) -> bool:
    """Push a failed task back, and tell the server when that is committed.

    Return False where it had not failed, or a newer task has taken its unique key.
    """
    is_pushed = lifecycle.retry_failed([row.pk]).number > 0
    row.refresh_from_db()
    if is_pushed:
        start([row])
    return is_pushed


def cancel(row: QueuedTasks) -> bool:
    """Cancel a task that waits, or have the server that has claimed it do so where it can.

    It is looked at once more afterwards, because the server may just have given it back.
    """
    is_cancelled = (
        _cancel_waiting(row.pk) or _cancel_claimed(row.pk, set()) or _cancel_waiting(row.pk)
    )
    row.refresh_from_db()
    return is_cancelled


def cancel_many(ids: Sequence[int], unreachable: set[int]) -> list[int]:
    """Do as `cancel` with many tasks; return the ids of those that are cancelled, or will be.

    The ids of servers that could not be reached are added to `unreachable`, so that none is waited
    for twice.
    """
    outcomes = lifecycle.cancel_many(ids)
    _tell(outcomes)
    running = list(QueuedTasks.objects.running().filter(pk__in=ids).values_list("pk", flat=True))
    ordered = [
        each for each in running if _cancel_claimed(each, unreachable) or _cancel_waiting(each)
    ]
    return [*(outcome.claimed.id for outcome in outcomes), *ordered]


def _cancel_waiting(task_id: int) -> bool:
    """Fail a task that waits, and tell the site's receivers so; return whether it waited."""
    if (outcome := lifecycle.cancel(task_id)) is None:
        return False
    _tell([outcome])
    return True


def _tell(outcomes: Sequence[Failure]) -> None:
    for outcome in outcomes:
        for tidings in tidings_of(outcome):
            tidings.send()


def _cancel_claimed(task_id: int, unreachable: set[int]) -> bool:
    """Order the server that has claimed a task to cancel it; return whether it does."""
    owner = QueuedTasks.objects.running().filter(pk=task_id).values("owner")
    server = Servers.objects.filter(pk__in=owner).exclude(pk__in=unreachable).first()
    if server is None or (place := leases.reachable_at(server)) is None:
        return False
    try:
        order = about_task("cancel", task_id)
        return bool(client.command(order, host=place.host, port=place.port).ok)
    except ServerUnreachable:
        unreachable.add(server.pk)
        return False
