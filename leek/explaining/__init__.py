"""Where one task is, and why it is there.

Each state has a list of reasons. The first that applies is told; the last of each always does.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils import timezone

from leek.explaining import begun, blocked, deferred, waiting
from leek.explaining.case import Case
from leek.models import QueuedTasks, State

Reason = Callable[[Case], str | None]


@dataclass(frozen=True)
class Explanation:
    """A task, its status, and why it has that: as a word that stays, and as a sentence.

    The words are REASONS. The sentence is in the language that is active.
    """

    id: int
    name: str
    queue: str
    priority: int
    status: str
    reason: str
    explanation: str


def explain(task_id: int, is_listening: Callable[[], bool]) -> Explanation:
    """Tell where a task is, and why; raise QueuedTasks.DoesNotExist.

    `is_listening` asks whether a server answers where the settings say.
    """
    row = QueuedTasks.objects.get(pk=task_id)
    case = Case(row, is_listening)
    for name, reason in _REASONS[State(row.state)].items():
        if (sentence := reason(case)) is not None:
            return Explanation(
                row.pk, row.name, row.queue, row.priority, row.status.value, name, sentence
            )
    raise AssertionError("unreachable")


def _due(reason: Reason) -> Reason:
    """Return a reason of a waiting task as one of a deferred task whose time has come."""
    return lambda case: reason(case) if case.row.run_after <= timezone.now() else None


_OBSTACLES: dict[str, Reason] = {
    "no_server": waiting.no_server,
    "unserved": waiting.unserved,
    "paused": waiting.paused,
    "unreadable": waiting.unreadable,
    "not_found": waiting.not_found,
}
_WAITING: dict[str, Reason] = {**_OBSTACLES, "suspect": waiting.suspect, "in_line": waiting.in_line}
_REASONS: dict[State, dict[str, Reason]] = {
    State.READY: _WAITING,
    State.DEFERRED: {
        **{name: _due(reason) for name, reason in _WAITING.items()},
        "parked": deferred.parked,
        "tried": deferred.tried,
        "deferred": deferred.deferred,
    },
    State.BLOCKED: {
        "outage": blocked.outage,
        "limit": blocked.limit,
        "rate": blocked.rate,
        **_OBSTACLES,
        "gate": blocked.at_gate,
    },
    State.RUNNING: {
        "in_its_pusher": begun.in_its_pusher,
        "orphaned": begun.orphaned,
        "lease_over": begun.lease_over,
        "relayed": begun.relayed,
        "running": begun.running,
    },
    State.SUCCESSFUL: {"succeeded": begun.succeeded},
    State.FAILED: {"failed": begun.failed},
}
REASONS = tuple(dict.fromkeys(name for reasons in _REASONS.values() for name in reasons))
