"""The suspect that this server has claimed: one at a time, so that it is known what was run."""

from leek.outcome import Claimed
from leek.server.claimer import Claimer


class Suspects:
    """Claims the next suspect when the one before has ended; all is done by the dispatcher.

    But for `forget`, which whoever ends a task calls.
    """

    def __init__(self, claimer: Claimer) -> None:
        self._claimer = claimer
        self._current: Claimed | None = None
        self._any_wait = self._came_back_empty = False

    @property
    def is_next_due(self) -> bool:
        """Whether it is the turn of one that waits."""
        return self._any_wait and self._current is None

    def seen(self, *, any_wait: bool) -> None:
        """Note whether any wait; those that none could be claimed of are left to a later look."""
        self._any_wait = any_wait and not self._came_back_empty
        self._came_back_empty = False

    def claim(self) -> None:
        """Claim one, if there is any left, and have it run."""
        self._any_wait = False
        claimed = self._claimer.claim_suspect()
        self._came_back_empty = not claimed
        self._current = claimed[0] if claimed else None
        self._claimer.hand_on(claimed)

    def forget(self, claimed: Claimed) -> bool:
        """Note that a task is no longer this server's; return whether it was its suspect."""
        was_suspect = claimed is self._current
        if was_suspect:
            self._current = None
        return was_suspect
