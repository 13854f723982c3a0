"""Relays claimed tasks to Celery."""

import threading
import time
from collections.abc import Callable, Sequence

from leek import agenda
from leek.celery.broker import Broker, QueueRefused
from leek.celery.relayed import Relayed
from leek.celery.windows import Windows
from leek.outcome import Claimed
from leek.retry import backoff
from leek.server.backlog import Backlog
from leek.server.heartbeat import Lease
from leek.server.journal import journal
from leek.server.service import Outage, Taker, distrust_after

BATCH = 100  # tasks whose queues are looked up together
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between tries while the broker is away


class Relay(Taker):
    """Takes claimed tasks from the backlog and sends a message for each; never runs a task.

    While the broker is away it keeps one, to try with, and gives the others back. `on_return` is
    told since when it was away; `on_first` that there is something to look after; `on_sent` of each
    task that the broker has taken.
    """

    name = "relay"

    def __init__(
        self,
        outage: Outage,
        lease: Lease,
        backlog: Backlog,
        windows: Windows,
        broker: Broker,
        relayed: Relayed,
        give_back: Callable[[Claimed], None],
        on_sent: Callable[[Claimed], None],
        on_first: Callable[[], None],
        on_return: Callable[[float], None],
        on_end: Callable[[], None],
    ) -> None:
        super().__init__(outage, on_end)
        self._lease = lease
        self._backlog = backlog
        self._windows = windows
        self._broker = broker
        self._relayed = relayed
        self._give_back = give_back
        self._on_sent = on_sent
        self._on_first = on_first
        self._on_return = on_return
        self._ending = threading.Event()
        self._away_since: float | None = None
        self._is_told = False

    def run_once(self) -> None:
        """Wait for tasks, and relay them; end the loop when there will be none."""
        waiting_since = time.monotonic()
        if (first := self._backlog.take()) is None:
            self.stopping.set()
            return
        distrust_after(waiting_since)
        batch = [first, *self._backlog.take_more(BATCH - 1)]
        try:
            queues = agenda.queues_of([claimed.id for claimed in batch])
        except Exception:
            self._return(batch)
            raise
        self._relay(batch, queues)

    def finish(self) -> None:
        """Leave the broker."""
        self._broker.close()

    def stop_waiting(self) -> None:
        """Wait no more for the broker."""
        self._ending.set()

    def _relay(self, batch: Sequence[Claimed], queues: dict[int, str]) -> None:
        for number, claimed in enumerate(batch, 1):
            queue = queues.get(claimed.id)
            if queue is not None and claimed.suspect:  # it was claimed alone, whatever its queue is
                self._windows.took(queue, [claimed])
            if queue is None or not self._may_send(claimed):
                self._return([claimed])
                continue
            self._add(claimed, queue)
            # The first error may be due to a connection that was not used for long.
            if self._try(claimed, queue) and (cause := self._try(claimed, queue)):
                self._return(batch[number:])
                self._insist(claimed, queue, cause)
                return

    def _may_send(self, claimed: Claimed) -> bool:
        """Tell whether a task is to be relayed: it may be another server's by now."""
        is_open = not self._backlog.has_ended and not self._windows.is_closed(claimed)
        return is_open and self._lease.covers(claimed)

    def _add(self, claimed: Claimed, queue: str) -> None:
        if self._relayed.add(claimed, queue):
            self._on_first()

    def _try(self, claimed: Claimed, queue: str) -> Exception | None:
        """Relay a task; return what keeps it from that, unless it is about its queue alone."""
        began = time.monotonic()
        if not self._relayed.send_now(claimed):
            self._windows.moves()  # it was cancelled: another one will tell
            return None
        try:
            self._broker.send(claimed, queue)
        except QueueRefused as error:
            self._refuse(claimed, queue, error)
        except Exception as error:  # noqa: BLE001 (each library has its own)
            self._away_since = began if self._away_since is None else self._away_since
            return error
        else:
            if self._windows.accepted(claimed):
                journal.warning('Celery\'s broker takes messages for the queue "%s" again.', queue)
            self._on_sent(claimed)
        self._broker_is_there()
        return None

    def _refuse(self, claimed: Claimed, queue: str, error: Exception) -> None:
        """Leave a queue alone for a while that the broker has no place for; others go on."""
        if self._windows.refused(claimed):
            journal.error(
                'Celery\'s broker takes no messages for the queue "%s": %s. Its tasks wait.',
                queue,
                error,
            )
        self._take_back(claimed)

    def _broker_is_there(self) -> None:
        if self._away_since is not None:
            self._on_return(self._away_since)
            self._away_since = None
        self._windows.moves()
        if self._is_told:
            journal.warning("Celery's broker takes messages again.")
            self._is_told = False

    def _insist(self, claimed: Claimed, queue: str, cause: Exception | None) -> None:
        """Try with a task until the broker takes it, until it is cancelled, or until the end."""
        self._windows.stops()
        if not self._is_told:
            journal.error("Celery's broker takes no messages: %s. Tasks wait until it does.", cause)
            self._is_told = True
        tries = 0
        while cause is not None:
            tries += 1
            self._ending.wait(backoff(tries, FIRST_PAUSE, LONGEST_PAUSE))
            if self._backlog.has_ended:
                self._take_back(claimed)
                return
            cause = self._try(claimed, queue)

    def _take_back(self, claimed: Claimed) -> None:
        """Give a task back that is not sent, unless it is cancelled."""
        if self._relayed.remove(claimed):
            self._return([claimed])

    def _return(self, claimed: Sequence[Claimed]) -> None:
        """Give tasks back that were taken."""
        for each in claimed:
            self._backlog.done()
            self._give_back(each)
