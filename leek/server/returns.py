"""Gives tasks back to the queue that this server has claimed and does not run."""

from collections import deque
from collections.abc import Callable, Iterable

from leek import lifecycle
from leek.outcome import Claimed
from leek.server.claimer import Claimer

PUT_OFF = 10.0  # seconds until a task is due again that could not be begun


class Returns:
    """Any thread may give back; only the dispatcher's stores it, and goes on where that failed.

    `on_returned` is called for each task that is no longer this server's.
    """

    def __init__(self, claimer: Claimer, on_returned: Callable[[Claimed], object]) -> None:
        self._claimer = claimer
        self._on_returned = on_returned
        self._unwanted: deque[Claimed] = deque()
        self._postponed: deque[Claimed] = deque()

    def give_back(self, claimed: Iterable[Claimed]) -> None:
        """Note tasks for others to run, or for this server later."""
        self._unwanted.extend(claimed)

    def put_off(self, claimed: Claimed) -> None:
        """Note a task that is to be due again in a while."""
        self._postponed.append(claimed)

    def store(self) -> bool:
        """Give back what is noted, and what a claim took whose answer got lost.

        Return whether that has made any tasks ready.
        """
        is_any_ready = self._claimer.release_doubtful()
        if unwanted := list(self._unwanted):
            lifecycle.release(unwanted)
            self._forget(self._unwanted, unwanted)
            is_any_ready = True
        if postponed := list(self._postponed):
            lifecycle.postpone(postponed, PUT_OFF)
            self._forget(self._postponed, postponed)
        return is_any_ready

    def _forget(self, noted: deque[Claimed], returned: list[Claimed]) -> None:
        for claimed in returned:
            noted.popleft()
            self._on_returned(claimed)
            self._claimer.left(claimed)
        self._claimer.kept -= len(returned)
