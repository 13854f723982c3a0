"""Evidence of work that this server cannot start, until siblings are told of it."""

import threading
from enum import Enum, auto

BETWEEN_ROUNDS = 0.005  # seconds
BETWEEN_HINTS = 0.025  # the same for mere hints, most of which are for this server


class Kind(Enum):
    """What there is evidence of: tasks of this server's queues, perhaps tasks of others."""

    OWN = auto()
    OTHERS = auto()


class Evidence:
    """Keeps what is to be offered in the next round; true if there is any.

    Besides it keeps all that came up since the siblings were read, because who joined since then
    was not asked. Any thread may bring evidence.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._to_offer: set[Kind] = set()
        self._since_read: set[Kind] = set()

    def __bool__(self) -> bool:
        return bool(self._to_offer)

    @property
    def is_unread(self) -> bool:
        """Whether any came up since the siblings were read."""
        return bool(self._since_read)

    @property
    def pause(self) -> float:
        """Seconds from the last round to the next one."""
        return BETWEEN_HINTS if self._to_offer == {Kind.OTHERS} else BETWEEN_ROUNDS

    def note(self, kind: Kind) -> bool:
        """Keep it for who joins; return whether it is the first since the siblings were read."""
        with self._lock:
            is_first = not self._since_read
            self._since_read.add(kind)
        return is_first

    def add(self, kind: Kind) -> None:
        """Have it offered in the next round."""
        with self._lock:
            self._to_offer.add(kind)

    def take(self) -> set[Kind]:
        """Return what is to be offered now; it is not kept."""
        with self._lock:
            taken, self._to_offer = self._to_offer, set()
        return taken

    def siblings_read(self, *, some_joined: bool) -> None:
        """Have offered to who joined what came up since the last time, and begin anew."""
        with self._lock:
            if some_joined:
                self._to_offer |= self._since_read
            self._since_read = set()
