"""Lets tasks go on that wait at gates."""

from collections import deque
from collections.abc import Callable

from leek import lifecycle
from leek.conditions import LIMIT, RATE
from leek.lifecycle import Opening
from leek.queues import Queues
from leek.server.service import Outage, Service

BATCH = 1000  # tasks that are let go on in one transaction
ALL = 1_000_000_000
LONG = 3600.0  # seconds to rest where nothing waits: who sees something wait wakes it

Works = Callable[[str], bool | None]


class Gatekeeper(Service):
    """Takes word of services and limits, and gives back to the queue what may start; runs no task.

    `works` tells whether a service does. Where this server knows nothing of it (None), because
    another one has blocked its tasks, one of them goes on: before it starts, the service is
    checked.
    """

    name = "gatekeeper"

    def __init__(
        self,
        outage: Outage,
        queues: Queues,
        poll_interval: float,
        works: Works,
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(outage)
        self._queues = queues
        self._poll_interval = poll_interval
        self._works = works
        self._on_ready = on_ready
        self._changes: deque[tuple[str, str | None]] = deque()
        self._pause = LONG
        self._has_news = False
        self._expects_more = True

    def expects_more(self) -> bool:
        """Look at what waits, and tell whether some of it may go on without a change of services.

        As long as that was not looked at, to the end, it may.
        """
        self.wake()
        return self._has_news or self._expects_more

    def look(self) -> None:
        """Look now at what waits: it may go on, or it is new."""
        self._has_news = True
        self.wake()

    def service_changed(self, service: str, reason: str | None) -> None:
        """Note that a service is down, and why; or with None that it works again."""
        self._changes.append((service, reason))
        self.look()

    def run_once(self) -> None:
        """Wait for news or for the time when a gate opens, and let go on what may."""
        self.rest(self._pause)
        if self.stopping.is_set():
            return
        self._pause = self._poll_interval
        self._expects_more = True  # before the news is old
        self._has_news = False  # before the look, because more may come during it
        self._note_changes()
        names = lifecycle.blocked_at(self._queues)
        counted = lifecycle.openings([name for name in names if name.startswith((LIMIT, RATE))])
        freed = [self._let_go_on(name, counted.get(name) or self._opening(name)) for name in names]
        self._pause = self._seconds_to_next(counted) if names else LONG
        self._expects_more = bool(counted) or any(freed)

    def _note_changes(self) -> None:
        """Store what became of services."""
        while self._changes:
            service, reason = self._changes[0]
            if reason is None:
                lifecycle.note_return(service)
            else:
                lifecycle.note_outage(service, reason)
            self._changes.popleft()

    def _let_go_on(self, name: str, opening: Opening) -> bool:
        """Give back to the queue what a gate lets through; return whether that was any task."""
        left, is_any = opening.tasks, False
        while left > 0:
            number = lifecycle.unblock(name, min(left, BATCH), self._queues)
            if number:
                is_any = True
                self._on_ready()
            left = left - number if number == BATCH else 0
        return is_any

    def _opening(self, service: str) -> Opening:
        works = self._works(service)
        return Opening(1 if works is None else ALL if works else 0)

    def _seconds_to_next(self, counted: dict[str, Opening]) -> float:
        times = [each.seconds_to_next for each in counted.values()]
        return min([self._poll_interval, *(time for time in times if time)])
