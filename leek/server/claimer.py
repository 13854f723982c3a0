"""Claims ready rows of the queues that are served, all alike or each by its weight."""

import itertools
from contextlib import AbstractContextManager

from leek import agenda, lifecycle
from leek.outcome import Claimed
from leek.queues import Queues, entry_of, is_pattern
from leek.server.backlog import Backlog
from leek.server.heartbeat import Lease


class Claimer:
    """Takes ready rows for this server, and hands them on to the backlog.

    It never looks for due tasks or for other servers', takes none of paused queues, and keeps in
    mind a claim whose answer got lost. `kept` is the number of tasks that were claimed and not
    given back.
    """

    def __init__(
        self,
        lease: Lease,
        queues: Queues,
        backlog: Backlog,
        write_lock: AbstractContextManager[object],
    ) -> None:
        self.kept = 0
        self._lease = lease
        self._queues = queues
        self._has_patterns = any(map(is_pattern, queues or ()))
        self._backlog = backlog
        self._write_lock = write_lock
        self._numbers = itertools.count(1)
        self._doubtful: tuple[int, int] | None = None  # a claim whose answer got lost
        self._paused: frozenset[str] | None = None  # not known yet

    def claim(self, room: int) -> int:
        """Claim up to so many ready tasks, and return how many there were."""
        if isinstance(self._queues, dict):
            return self._claim_by_weight(room)
        if self._has_patterns or self._known_paused():
            names = agenda.ready_queues(self._queues, self._known_paused())
            return self._claim(room, names) if names else 0
        return self._claim(room)

    def pass_over(self, paused: frozenset[str]) -> bool:
        """Take no tasks of these queues from now on; return whether that is new."""
        is_new = paused != self._paused
        self._paused = paused
        return is_new

    def claim_suspect(self) -> list[Claimed]:
        """Claim one suspect, if there is any, for the caller to hand on."""
        closed = self._closed_to_suspects()
        claimed = lifecycle.claim_suspect(*self._next_number(), self._queues, closed)
        self._doubtful = None
        return claimed

    def hand_on(self, claimed: list[Claimed], lane: str | None = None) -> None:
        """Have the workers run these."""
        self.kept += len(claimed)
        self._backlog.put(claimed, lane)

    def left(self, claimed: Claimed) -> bool:
        """Note that a task is not this server's any more; return whether to claim again."""
        return False

    def release_doubtful(self) -> bool:
        """Give back what a claim took whose answer got lost; return whether there was one."""
        if self._doubtful is None:
            return False
        lifecycle.release_claim(*self._doubtful)
        self._doubtful = None
        return True

    def _claim_by_weight(self, room: int) -> int:
        """Claim from each entry that has ready tasks; what one leaves is for the others."""
        ready, number = self._ready(), 0
        while ready and number < room:
            for lane, share in self._backlog.split(room - number, ready).items():
                claimed = self._claim(share, ready[lane], lane)
                number += claimed
                if claimed < share:
                    del ready[lane]
        return number

    def _ready(self) -> dict[str, list[str]]:
        """Return the names of the queues with ready tasks, by the entry that they are of."""
        ready: dict[str, list[str]] = {}
        for name in agenda.ready_queues(paused=self._known_paused()):
            if (entry := entry_of(name, self._queues or ())) is not None:
                ready.setdefault(entry, []).append(name)
        return ready

    def _claim(self, limit: int, among: list[str] | None = None, lane: str | None = None) -> int:
        claimed = self._claim_ready(limit, among)
        self.hand_on(claimed, lane)
        return len(claimed)

    def _claim_ready(self, limit: int, among: list[str] | None = None) -> list[Claimed]:
        with self._write_lock:
            claimed = lifecycle.claim(*self._next_number(), limit, self._queues, among)
        self._doubtful = None
        return claimed

    def _closed_to_suspects(self) -> frozenset[str]:
        return self._known_paused()

    def _known_paused(self) -> frozenset[str]:
        if self._paused is None:
            self._paused = agenda.paused_queues()
        return self._paused

    def _next_number(self) -> tuple[int, int]:
        self._doubtful = (self._lease.server_id, next(self._numbers))
        return self._doubtful
