"""Decides whether a claimed task may start, and whether a service was to blame where it failed."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from django.utils import timezone

from leek import lifecycle
from leek.conditions import Conditions, Gate
from leek.outcome import Blocked, Claimed, Failure, Outcome, Retry, Undone
from leek.server.watch import Watch


class Admission:
    """Any thread that runs tasks asks here first. Services are checked, limits counted.

    `on_room` is called when a task has ended that counts against a limit.
    """

    def __init__(
        self,
        watch: Watch,
        write_lock: AbstractContextManager[object],
        on_room: Callable[[], None],
    ) -> None:
        self._watch = watch
        self._write_lock = write_lock
        self._on_room = on_room
        self._lock = threading.Lock()
        self._counted: set[int] = set()  # tasks that run within a limit

    def refuse(self, claimed: Claimed, conditions: Conditions) -> Outcome | None:
        """Return the outcome of a task that may not start yet; None if it may, and is counted."""
        if not any(conditions):
            return None
        asked_at = timezone.now()
        gate = self._watch.first_down(conditions.requires)
        try:
            if gate is None and conditions.gates:
                gate = self._count(claimed, conditions.gates)
        except lifecycle.Superseded:
            return Undone(claimed, asked_at, timezone.now())
        return Blocked(claimed, asked_at, timezone.now(), gate) if gate else None

    def _count(self, claimed: Claimed, gates: Sequence[Gate]) -> str | None:
        """Count a task at its gates; return the name of one that is closed, if one is."""
        with self._lock:
            self._counted.add(claimed.id)
        with self._write_lock:
            return lifecycle.admit(claimed, gates)

    def reconsider(self, outcome: Outcome, conditions: Conditions) -> Outcome:
        """Return what an attempt really ended in: nothing, where a required service is down.

        An error of a connection puts the check to work at once.
        """
        if (
            isinstance(outcome, Retry | Failure)
            and outcome.error.is_of_connection
            and (down := self._watch.first_down(conditions.requires, anew=True))
        ):
            return Blocked(outcome.claimed, outcome.started_at, outcome.finished_at, down)
        return outcome

    def settled(self, outcomes: Sequence[Outcome]) -> None:
        """Note that outcomes are stored, and tell if there is room, or somebody new who waits."""
        with self._lock:
            ended = self._counted and {outcome.claimed.id for outcome in outcomes} & self._counted
            self._counted -= ended
        if ended or any(isinstance(outcome, Blocked) for outcome in outcomes):
            self._on_room()
