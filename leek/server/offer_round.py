"""One round of offers: siblings are asked until one has room."""

import random
from collections import deque
from collections.abc import Iterable

from leek.server.sibling_line import ANSWERED_SOON, SiblingLine, Standing


class OfferRound:
    """Asks siblings that serve the same queues one after the other, and is over when one takes it.

    Who took the last offer comes first. One that is slow to answer holds nobody up: another one is
    asked as well.
    """

    def __init__(self, lines: Iterable[SiblingLine]) -> None:
        left = [line for line in lines if line.may_have_room]
        random.shuffle(left)
        latest = max((line.taken_at for line in left), default=None)
        self._left = deque(sorted(left, key=lambda line: line.taken_at != latest))
        self._asked: list[SiblingLine] = []

    def go_on(self) -> bool:
        """Ask the next one if it is time; return whether more is to be done or heard."""
        while not self._is_taken:
            if self._left and (not self._asked or not self._is_awaited):
                self._ask(self._left.popleft())
            else:
                return bool(self._left) or any(
                    line.standing is Standing.ASKED for line in self._asked
                )
        return False

    @property
    def next_step(self) -> float | None:
        """When by the monotonic clock the next one is to be asked, whatever is heard."""
        return self._asked[-1].asked_at + ANSWERED_SOON if self._left and self._asked else None

    @property
    def _is_taken(self) -> bool:
        return any(line.standing is Standing.FREE for line in self._asked)

    @property
    def _is_awaited(self) -> bool:
        """Whether the one that was asked last may still answer soon."""
        last = self._asked[-1]
        return last.standing is Standing.ASKED and not last.is_late

    def _ask(self, line: SiblingLine) -> None:
        self._asked.append(line)
        line.offer()
