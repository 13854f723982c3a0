"""How many tasks there is room for in this server."""

from leek.server.backlog import Backlog
from leek.server.claimer import Claimer
from leek.server.forwarder import Forwarder
from leek.server.options import ClaimOptions
from leek.server.pace import Pace

STALLED_AFTER = 1.0  # seconds in which no worker took a task: then what waits is given back
STALLED_SOON = 0.025  # the same where a sibling may start it


class Room:
    """Says how many tasks to claim, and when; siblings that may have room make it more modest."""

    def __init__(
        self,
        options: ClaimOptions,
        backlog: Backlog,
        pace: Pace,
        claimer: Claimer,
        forwarder: Forwarder,
    ) -> None:
        self._options = options
        self._backlog = backlog
        self._pace = pace
        self._claimer = claimer
        self._forwarder = forwarder
        self._refill_at = options.workers - 1  # unfinished tasks, from which on more are claimed

    @property
    def size(self) -> int:
        """The number of tasks to claim."""
        room = self._pace.room(self._backlog.unfinished, self._most_wait)
        limit = self._options.max_tasks
        return room if limit is None else min(room, limit - self._claimer.kept)

    @property
    def has_free_worker(self) -> bool:
        """Whether a worker would begin a task at once."""
        return self._pace.has_free_place(self._backlog.unfinished)

    @property
    def has_place_for_suspect(self) -> bool:
        """Whether a suspect may be claimed."""
        return self._pace.has_place_for_suspect(self._backlog.unfinished)

    @property
    def is_time_to_refill(self) -> bool:
        """Whether so much has ended that another claim is worth while."""
        return self._backlog.unfinished <= self._refill_at

    @property
    def is_exhausted(self) -> bool:
        """Whether all tasks are claimed that this server is to run in its life."""
        limit = self._options.max_tasks
        return limit is not None and self._claimer.kept >= limit

    @property
    def stalled_at(self) -> float:
        """When what waits is to be given back, if no worker takes a task."""
        is_soon = self._forwarder.may_find_room
        return self._backlog.last_moved + (STALLED_SOON if is_soon else STALLED_AFTER)

    def claimed(self, number: int, seconds: float) -> None:
        """Note how many tasks a claim gave, and how long it took."""
        self._pace.claimed(number, seconds)
        self._refill_at = self._pace.refill_at(self._most_wait)

    @property
    def _most_wait(self) -> float:
        return self._pace.most_wait(sibling_has_room=self._forwarder.may_find_room)
