"""How many tasks of a queue may wait in the broker, how long. Pure: times come in as numbers."""

from collections import deque

LEAST, MOST = 100, 5_000  # tasks
LOOK_BACK = 3.0  # seconds
LONGEST = 3_600.0  # seconds that a task may wait in the broker if none is begun at all


class Window:
    """Says how many tasks may be relayed and not begun: what was begun in the last few seconds.

    So all of them can be expected to begin soon; what does not is lost. A queue of which none is
    begun for long, or whose messages the broker refuses, is tried with one.
    """

    def __init__(self, look_back: float = LOOK_BACK) -> None:
        self._look_back = look_back
        self._begun: deque[tuple[float, int]] = deque()
        self._is_narrow = False

    def size(self, now: float) -> int:
        """Return the number of tasks that may be out."""
        if self._is_narrow:
            return 1
        while self._begun and self._begun[0][0] < now - self._look_back:
            self._begun.popleft()
        return min(max(LEAST, sum(number for _, number in self._begun)), MOST)

    def began(self, number: int, now: float) -> None:
        """Note how many tasks were found to have begun, by now."""
        self._is_narrow = False
        self._begun.append((now, number))

    def forget(self) -> None:
        """Forget what was begun, because what is claimed stays where it is."""
        self._begun.clear()

    def narrow(self) -> None:
        """Have one task tried alone, until one is begun."""
        self._is_narrow = True
        self.forget()


class Patience:
    """Says after how many seconds a task that was relayed and not begun is relayed again.

    While none at all is begun, be it that all workers are busy or that there are none, the time
    doubles, so that their messages do not pile up.
    """

    def __init__(self, seconds: float) -> None:
        self._first = self.seconds = seconds
        self._any_began = False

    def began(self) -> None:
        """Note that some tasks were begun."""
        self.seconds = self._first
        self._any_began = True

    def ended(self) -> bool:
        """Note that the time was over for some; return whether none was begun meanwhile."""
        is_idle = not self._any_began
        if is_idle:
            self.seconds = max(min(2 * self.seconds, LONGEST), self._first)
        self._any_began = False
        return is_idle
