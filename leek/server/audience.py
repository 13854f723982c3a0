"""Who waits for the end of which task."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from leek.exceptions import ProtocolError
from leek.outcome import Crash, Failure, Outcome, Success
from leek.protocol import FINISHED, WAITING
from leek.server.conversation import Conversation

MOST_ATTENDING = 256  # connections
LONGEST_ATTENDANCE = 60.0  # seconds: whose client lives asks anew


class Audience:
    """Connections that wait, each for one task; all is done by the listener's thread.

    But for `stored`: the recorder's thread calls that. It leaves word of what has ended, and
    `wake` has the listener read it.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.deadlines: dict[Conversation, float] = {}  # the nearest one first
        self._wake = wake
        self._tasks: dict[Conversation, int] = {}
        self._attending: dict[int, list[Conversation]] = {}  # by task
        self._ended: deque[int] = deque()

    def enter(self, conversation: Conversation, task_id: int) -> None:
        """Have a connection wait for the end of a task, and tell it so."""
        if len(self._tasks) >= MOST_ATTENDING:
            raise ProtocolError(f"{MOST_ATTENDING} others wait for tasks")
        self._tasks[conversation] = task_id
        self._attending.setdefault(task_id, []).append(conversation)
        self.deadlines[conversation] = time.monotonic() + LONGEST_ATTENDANCE
        conversation.tell(WAITING)  # last, because from here on the client relies on it

    def leave(self, conversation: Conversation) -> None:
        """Have a connection wait no more, if it did; its deadline is taken off already."""
        if (task_id := self._tasks.pop(conversation, None)) is not None:
            others = self._attending[task_id]
            others.remove(conversation)
            if not others:
                del self._attending[task_id]

    def stored(self, outcomes: Sequence[Outcome]) -> None:
        """Note that these outcomes are stored, if anybody waits."""
        if not self._attending:
            return
        for outcome in outcomes:
            if outcome.claimed.id in self._attending and _is_end(outcome):
                self._ended.append(outcome.claimed.id)
        if self._ended:
            self._wake()

    def tell(self) -> list[Conversation]:
        """Tell those whose task has ended; return them, for whom that was all."""
        told: list[Conversation] = []
        while self._ended:
            told.extend(self._attending.get(self._ended.popleft(), ()))
        for conversation in told:
            conversation.tell(FINISHED)
        return told


def _is_end(outcome: Outcome) -> bool:
    """Tell whether a task is finished with this outcome."""
    if isinstance(outcome, Crash):
        return outcome.is_last
    return isinstance(outcome, Success | Failure)
