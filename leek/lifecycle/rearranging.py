"""Waiting tasks in another order: due now, in another queue, of another priority"""

from collections.abc import Sequence
from typing import Any

from django.db.models import Case, When

from leek.database import Now
from leek.lifecycle import sets
from leek.models import State

WAITING = (State.READY, State.DEFERRED, State.BLOCKED)


def run_now(ids: Sequence[int]) -> int:
    """Make deferred tasks due, be they parked or to be tried again; return how many.

    A suspect is due as well, but stays deferred: only `claim_suspect` takes it.
    """
    deferred = sets.tasks().filter(pk__in=ids, state=State.DEFERRED)
    state = Case(When(suspect=True, then=State.DEFERRED), default=State.READY)
    return deferred.update(state=state, run_after=Now())


def reassign(ids: Sequence[int], *, queue: str | None = None, priority: int | None = None) -> int:
    """Put waiting tasks into another queue, or give them another priority; return how many."""
    changes: dict[str, Any] = {"queue": queue, "priority": priority}
    changes = {name: value for name, value in changes.items() if value is not None}
    return sets.tasks().filter(pk__in=ids, state__in=WAITING).update(**changes) if changes else 0
