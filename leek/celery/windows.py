"""How many tasks of each queue may wait in the broker, and which do."""

import threading
import time
from collections import Counter
from collections.abc import Iterable

from leek.celery.window import LEAST, LOOK_BACK, MOST, Patience, Window
from leek.outcome import Claimed
from leek.server.pace import Pace

CLOSED_FOR = 10.0  # seconds until a queue is tried again whose messages the broker refuses


class QueueWindow:
    """The window and the patience of one queue, and how many of its tasks this server has."""

    def __init__(self, timeout: float) -> None:
        self.window = Window(min(LOOK_BACK, timeout / 4))
        self.patience = Patience(timeout)
        self.claimed = self.suspects = 0
        self.has_more = False  # the last claim left some for want of room
        self.is_unserved = self.is_refused = False
        self.closed_until = float("-inf")

    def room(self, now: float) -> int:
        """Return how many more may be claimed."""
        return self.window.size(now) - self.claimed if now >= self.closed_until else 0

    def is_time_to_refill(self, now: float) -> bool:
        """Tell whether so much has begun of what there is room for that a claim is worth while."""
        return 2 * self.room(now) >= self.window.size(now)


class Windows(Pace):
    """Has a window and a patience for each queue: one that Celery does not serve holds up no other.

    Any thread may call. A broker that takes no messages at all is tried with one task.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__(LEAST)
        self.is_stuck = False
        self._timeout = timeout
        self._lock = threading.Lock()
        self._queues: dict[str, QueueWindow] = {}
        self._queue_of: dict[tuple[int, int], QueueWindow] = {}  # by the fence of each claim

    # What the dispatcher asks

    def room(self, unfinished: int, seconds: float) -> int:
        """Return how many tasks to claim at most, of all queues that have room."""
        return 1 - unfinished if self.is_stuck else MOST

    def refill_at(self, seconds: float) -> int:
        """Return the number of unfinished tasks from which on more may be claimed: any number."""
        return MOST

    def has_free_place(self, unfinished: int) -> bool:
        """Tell whether the broker takes messages, and any queue has room."""
        now = time.monotonic()
        with self._lock:
            has_room = not self._queues or any(each.room(now) > 0 for each in self._queues.values())
        return has_room and not self.is_stuck

    def has_place_for_suspect(self, unfinished: int) -> bool:
        """Tell whether the broker takes messages, be it of a queue that is not known yet."""
        return not self.is_stuck

    def forget(self) -> None:
        """Forget what was begun, because what is claimed stays where it is."""
        with self._lock:
            for each in self._queues.values():
                each.window.forget()

    # What the claimer asks and tells

    def room_of(self, queue: str) -> int:
        """Return how many tasks of a queue may be claimed."""
        with self._lock:
            return self._window(queue).room(time.monotonic())

    def closed_to_suspects(self) -> frozenset[str]:
        """Return the names of the queues of which one is out, or that the broker refuses.

        A second one might be put off by who runs the first.
        """
        now = time.monotonic()
        with self._lock:
            return frozenset(
                name
                for name, each in self._queues.items()
                if each.suspects or now < each.closed_until
            )

    def took(self, queue: str, claimed: Iterable[Claimed], *, has_more: bool = False) -> None:
        """Note what was claimed of a queue, before anybody else is told of it."""
        with self._lock:
            found = self._window(queue)
            found.has_more |= has_more
            for each in claimed:
                self._queue_of[each.id, each.claim] = found
                found.claimed += 1
                found.suspects += each.suspect

    def left(self, claimed: Claimed) -> bool:
        """Note that a task is not this server's any more; return whether to claim of its queue."""
        now = time.monotonic()
        with self._lock:
            if (found := self._queue_of.pop((claimed.id, claimed.claim), None)) is None:
                return False
            found.claimed -= 1
            found.suspects -= claimed.suspect
            is_time = found.has_more and found.is_time_to_refill(now)
            found.has_more &= not is_time
            return is_time or claimed.suspect

    # What the relay tells

    def stops(self) -> None:
        """Have one task tried alone, because the broker takes none of any queue."""
        self.is_stuck = True
        self.forget()

    def moves(self) -> None:
        """Note that the broker takes messages, or that there is nothing to try it with."""
        self.is_stuck = False

    def is_closed(self, claimed: Claimed) -> bool:
        """Tell whether the broker has just refused another message of this one's queue."""
        found = self._queue_of.get((claimed.id, claimed.claim))
        return found is not None and time.monotonic() < found.closed_until

    def refused(self, claimed: Claimed) -> bool:
        """Note that the broker takes no messages of this queue; return whether that is new."""
        with self._lock:
            if (found := self._queue_of.get((claimed.id, claimed.claim))) is None:
                return False
            was_refused, found.is_refused = found.is_refused, True
            found.closed_until = time.monotonic() + CLOSED_FOR
            found.window.narrow()
            return not was_refused

    def accepted(self, claimed: Claimed) -> bool:
        """Note that the broker has taken a message; return whether that is new of its queue."""
        found = self._queue_of.get((claimed.id, claimed.claim))
        if found is None or not found.is_refused:
            return False
        found.is_refused = False
        return True

    # What its check asks and tells

    def patience(self, claimed: Claimed) -> float:
        """Return after how many seconds this task is relayed again."""
        found = self._queue_of.get((claimed.id, claimed.claim))
        return found.patience.seconds if found else self._timeout

    def began(self, begun: Iterable[Claimed], now: float) -> None:
        """Note which tasks were found to have begun, by now."""
        with self._lock:
            for queue, number in Counter(self._known(begun)).items():
                queue.is_unserved = False
                queue.window.began(number, now)
                queue.patience.began()

    def overdue(self, claimed: Claimed) -> bool:
        """Note that the time was over for tasks of a queue; return whether it seems unserved.

        That is said once, until one of them is begun.
        """
        with self._lock:
            found = self._queue_of.get((claimed.id, claimed.claim))
            if found is None or not found.patience.ended():
                return False
            found.window.narrow()
            was_unserved, found.is_unserved = found.is_unserved, True
            return not was_unserved

    def _window(self, queue: str) -> QueueWindow:
        if (found := self._queues.get(queue)) is None:
            found = self._queues[queue] = QueueWindow(self._timeout)
        return found

    def _known(self, claimed: Iterable[Claimed]) -> list[QueueWindow]:
        found = [self._queue_of.get((each.id, each.claim)) for each in claimed]
        return [each for each in found if each is not None]
