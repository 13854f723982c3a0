"""What is on in a `leek_server` whose tasks Celery runs."""

from collections.abc import Sequence
from typing import Any

from django import db
from django.utils import timezone

from leek import lifecycle
from leek.celery.broker import Broker
from leek.celery.relay import Relay
from leek.celery.relay_check import RelayCheck
from leek.celery.relay_claimer import RelayClaimer
from leek.celery.relayed import Relayed
from leek.celery.window import LEAST
from leek.celery.windows import Windows
from leek.connections import close_connections
from leek.outcome import Outcome, cancelled
from leek.server.journal import log_outcome
from leek.server.options import PoolOptions
from leek.server.pool import WorkerPool
from leek.server.service import Taker
from leek.server.worker import Shared


class RelayPool(WorkerPool):
    """A pool without Workers: what is claimed is relayed, and then looked after until it begins."""

    def __init__(self, *args: Any, app: Any, timeout: float, **options: Any) -> None:
        self._app = app
        self._timeout = timeout
        self._relayed = Relayed()
        super().__init__(*args, **options)

    def _build_pace(self, options: PoolOptions) -> Windows:
        self._windows = Windows(self._timeout)
        return self._windows

    def _build_claimer(self, *args: Any) -> RelayClaimer:
        return RelayClaimer(*args, windows=self._windows)

    def _places(self, options: PoolOptions) -> int:
        return LEAST

    def _build_workers(self, options: PoolOptions, shared: Shared) -> Sequence[Taker]:
        self._check = RelayCheck(
            self._outage,
            self._lease,
            self._backlog,
            self._windows,
            self._relayed,
            give_back=shared.give_back,
            on_ended=shared.on_ended,
            on_end=self._runner_ended,
        )
        relay = Relay(
            self._outage,
            self._lease,
            self._backlog,
            self._windows,
            Broker(self._app),
            self._relayed,
            give_back=shared.give_back,
            on_sent=self._dispatcher.suspect_is_elsewhere,
            on_first=self._check.wake,
            on_return=self._check.broker_is_back,
            on_end=self._runner_ended,
        )
        return [relay, self._check]

    def cancel(self, task_id: int) -> bool:
        """Cancel a task that has not begun, be it that its message is out."""
        return super().cancel(task_id) or self._cancel_relayed(task_id)

    @property
    def handled(self) -> int:
        """The tasks that Celery's workers began since the start."""
        return self._check.begun

    @property
    def waiting(self) -> int:
        """The claimed tasks that nothing has begun."""
        return super().waiting + len(self._relayed)

    def _cancel_relayed(self, task_id: int) -> bool:
        """Fail a task as cancelled unless somebody has taken it over; its message is then void.

        Meanwhile nobody else finds the message, to cancel the task as well or to take it for begun.
        """
        if (message := self._relayed.take_out(task_id)) is None:
            return False
        now = timezone.now()
        outcome = cancelled(message.claimed, now, now, has_begun=False)
        if not self._settle(outcome):
            self._relayed.put_back(message)
            self._check.wake()
            return False
        self._check.cancelled(message.claimed)
        log_outcome(outcome)
        self._stored([outcome])
        return True

    def _settle(self, outcome: Outcome) -> bool:
        """Store an outcome; return whether the task was still this server's."""
        try:
            with self._write_lock:
                return not lifecycle.settle([outcome])
        except db.Error:
            return False
        finally:
            close_connections()
