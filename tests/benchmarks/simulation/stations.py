"""What is shared, so that one has to wait for another: processors, and the database's log."""

from collections import deque

from tests.benchmarks.simulation.clock import Clock, Course

SLICE = 0.001  # seconds after which a processor goes to the next who waits
TURN = 0.005  # seconds for which a thread keeps Python's lock while others want it


class Station:
    """Serves so many at once, the others in the order of their coming."""

    def __init__(self, clock: Clock, places: int) -> None:
        self.places = places
        self.busy = 0.0  # seconds, of all places together
        self._clock = clock
        self._free = places
        self._waiting: deque[Course] = deque()

    def add(self, course: Course) -> None:
        """Give a course a place, as soon as there is one."""
        if self._free:
            self._free -= 1
            self._clock.carry_on(course)
        else:
            self._waiting.append(course)

    def give_back(self) -> None:
        """Let the next one have a place."""
        if self._waiting:
            self._clock.start(self._waiting.popleft())
        else:
            self._free += 1

    def serve(self, seconds: float) -> Course:
        """Wait for a place and keep it for so long, a slice at a time."""
        while seconds > 0:
            part = min(seconds, SLICE)
            yield self
            yield part
            self.busy += part
            self.give_back()
            seconds -= part


class Interpreter:
    """A process of Python: one of its threads computes at a time, on its host's processors."""

    def __init__(self, clock: Clock, host: Station) -> None:
        self._lock = Station(clock, 1)
        self._host = host

    def compute(self, seconds: float) -> Course:
        """Compute for so long, a turn at a time."""
        while seconds > 0:
            part = min(seconds, TURN)
            yield self._lock
            yield from self._host.serve(part)
            self._lock.give_back()
            seconds -= part
