"""Finds out which of the relayed tasks were begun, and has the others relayed again in time."""

import time
from collections.abc import Callable, Sequence

from leek import agenda
from leek.celery.relayed import Message, Relayed
from leek.celery.windows import Windows
from leek.outcome import Claimed
from leek.pushing import DEFAULT_QUEUE
from leek.server.backlog import Backlog
from leek.server.heartbeat import Lease
from leek.server.journal import journal
from leek.server.service import Outage, Taker

LONG = 3600.0  # seconds to rest where nothing is out: the relay wakes it
SLOW, FAST = 0.25, 0.05  # seconds between looks; the latter where there was news at the last one
OVERDUE = (
    '%s task(s) of the queue "%s" were relayed to Celery %.0f s ago and not begun: '
    "they are relayed again"
)
UNSERVED = (
    'No task of the queue "%s" was begun within %.0f s of its relay to Celery. Either all workers '
    "are busy, or none serves this queue%s."
)


class RelayCheck(Taker):
    """Takes nothing; looks at which tasks this server still has, and makes room for others.

    What is no longer this server's was begun, or has ended without. What still is after the time
    that the patience of its queue says is given back, to be claimed and relayed anew: its message
    was lost, or waits so long that it is out of date by then.
    """

    name = "relay-check"

    def __init__(
        self,
        outage: Outage,
        lease: Lease,
        backlog: Backlog,
        windows: Windows,
        relayed: Relayed,
        give_back: Callable[[Claimed], None],
        on_ended: Callable[[Claimed], None],
        on_end: Callable[[], None],
    ) -> None:
        super().__init__(outage, on_end)
        self.begun = 0
        self._lease = lease
        self._backlog = backlog
        self._windows = windows
        self._relayed = relayed
        self._give_back = give_back
        self._on_ended = on_ended
        self._lost_at = float("-inf")
        self._pause = LONG

    def broker_is_back(self, away_since: float) -> None:
        """Have relayed again what was relayed before, as the broker may have lost it."""
        self._lost_at = away_since
        self.wake()

    def run_once(self) -> None:
        """Wait for the next look, and look."""
        self.rest(self._pause)
        if not self.stopping.is_set():
            self._pause = SLOW
            self._look()

    def stop_waiting(self) -> None:
        """End: what is out is given back with all that this server has."""
        self.stop()

    def cancelled(self, claimed: Claimed) -> None:
        """Note that a task has ended without being begun, whose message was taken out."""
        self._backlog.done()
        self._on_ended(claimed)

    def _look(self) -> None:
        messages, now = self._relayed.all(), time.monotonic()
        held = agenda.claimed_by(self._lease.server_id) if messages else set()
        gone = [each for each in messages if each.fence not in held]
        self._note_gone(gone, now)
        out = [each for each in messages if each.fence in held]
        self._relay_lost([each for each in out if each.sent_at < self._lost_at])
        if not self._windows.is_stuck:
            self._relay_overdue([each for each in out if self._is_overdue(each, now)])
        self._pause = FAST if gone else SLOW if len(self._relayed) else LONG

    def _is_overdue(self, message: Message, now: float) -> bool:
        patience = self._windows.patience(message.claimed)
        return self._lost_at <= message.sent_at < now - patience

    def _note_gone(self, gone: Sequence[Message], now: float) -> None:
        """Note what was begun; what was out when the lease was lost is just not there any more."""
        gone = [each for each in gone if self._forget(each.claimed)]
        begun = [each.claimed for each in gone if self._lease.covers(each.claimed)]
        self._windows.began(begun, now)
        self.begun += len(begun)
        for each in gone:
            self._on_ended(each.claimed)

    def _relay_lost(self, lost: Sequence[Message]) -> None:
        if lost:
            journal.info("%s task(s) are relayed again: Celery's broker was away", len(lost))
            self._give_back_all(lost)

    def _relay_overdue(self, overdue: Sequence[Message]) -> None:
        by_queue: dict[str, list[Message]] = {}
        for each in overdue:
            by_queue.setdefault(each.queue, []).append(each)
        for queue, messages in by_queue.items():
            seconds = self._windows.patience(messages[0].claimed)
            journal.info(OVERDUE, len(messages), queue, seconds)
            if self._windows.overdue(messages[0].claimed):
                journal.warning(UNSERVED, queue, seconds, _remedy(queue))
            self._give_back_all(messages)

    def _give_back_all(self, messages: Sequence[Message]) -> None:
        for each in messages:
            if self._forget(each.claimed):
                self._give_back(each.claimed)

    def _forget(self, claimed: Claimed) -> bool:
        """Forget a task that is no longer out; return whether it was."""
        if was_out := self._relayed.remove(claimed):
            self._backlog.done()
        return was_out


def _remedy(queue: str) -> str:
    return "" if queue == DEFAULT_QUEUE else f', as "celery worker -Q {queue}" does'
