"""The tasks that are relayed and, as far as the server knows, not begun."""

import threading
import time
from typing import NamedTuple

from leek.outcome import Claimed


class Message(NamedTuple):
    """A task that was relayed, the name of its queue, and when, by the monotonic clock."""

    claimed: Claimed
    queue: str
    sent_at: float

    @property
    def fence(self) -> tuple[int, int]:
        """The task's id and the number of the claim."""
        return self.claimed.id, self.claimed.claim


class Relayed:
    """Takes what is sent from one thread, and lets others look at it.

    A task that was begun and has come back may be there twice, under two claims.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: dict[tuple[int, int], Message] = {}  # by their fences

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, claimed: Claimed, queue: str) -> bool:
        """Note a task before it is sent; return whether it is the only one."""
        message = Message(claimed, queue, time.monotonic())
        with self._lock:
            self._messages[message.fence] = message
            return len(self._messages) == 1

    def send_now(self, claimed: Claimed) -> bool:
        """Note that a task is being sent; return whether it is still there."""
        fence = claimed.id, claimed.claim
        with self._lock:
            if is_there := fence in self._messages:
                self._messages[fence] = self._messages[fence]._replace(sent_at=time.monotonic())
            return is_there

    def remove(self, claimed: Claimed) -> bool:
        """Forget a task; return whether it was there, under this claim."""
        with self._lock:
            return self._messages.pop((claimed.id, claimed.claim), None) is not None

    def all(self) -> list[Message]:
        """Return all of them."""
        with self._lock:
            return [*self._messages.values()]

    def take_out(self, task_id: int) -> Message | None:
        """Return the latest message of a task that is there, and forget it."""
        with self._lock:
            messages = reversed(self._messages.values())
            found = next((each for each in messages if each.claimed.id == task_id), None)
            if found:
                del self._messages[found.fence]
            return found

    def put_back(self, message: Message) -> None:
        """Note a message again that was taken out."""
        with self._lock:
            self._messages[message.fence] = message
