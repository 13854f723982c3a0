"""Claims of each queue no more than may be relayed of it."""

from typing import Any

from leek import agenda
from leek.celery.windows import Windows
from leek.outcome import Claimed
from leek.queues import entry_of
from leek.server.claimer import Claimer


class RelayClaimer(Claimer):
    """Claims queue by queue, as each has a window of its own."""

    def __init__(self, *args: Any, windows: Windows) -> None:
        super().__init__(*args)
        self._windows = windows

    def claim(self, room: int) -> int:
        """Claim up to so many ready tasks, and return how many there were."""
        number = 0
        for queue in agenda.ready_queues(self._queues, self._known_paused()):
            share = min(self._windows.room_of(queue), room - number)
            if share > 0:
                number += self._claim_of(queue, share)
            else:
                self._windows.took(queue, [], has_more=True)
        return number

    def left(self, claimed: Claimed) -> bool:
        """Note that a task is not this server's any more; return whether to claim again."""
        return self._windows.left(claimed)

    def _claim_of(self, queue: str, share: int) -> int:
        claimed = self._claim_ready(share, [queue])
        self._windows.took(queue, claimed, has_more=len(claimed) == share)
        self.hand_on(claimed, self._lane(queue))
        return len(claimed)

    def _closed_to_suspects(self) -> frozenset[str]:
        return super()._closed_to_suspects() | self._windows.closed_to_suspects()

    def _lane(self, queue: str) -> str | None:
        return entry_of(queue, self._queues) if isinstance(self._queues, dict) else None
