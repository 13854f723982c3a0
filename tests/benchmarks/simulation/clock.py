"""Time that passes from event to event. Pure: nothing waits for real."""

from collections.abc import Callable, Generator
from heapq import heappop, heappush
from itertools import count
from typing import Protocol, Union


class Awaited(Protocol):
    """What a course may wait for."""

    def add(self, course: "Course") -> None:
        """Have a course go on when it is time."""


# What goes on in simulated time: it yields the seconds to rest, or what it waits for.
Course = Generator[Union[float, Awaited], None, None]  # noqa: UP007 (Awaited names it, too)


class Clock:
    """Carries on each course when it is due; those due at once in the order of their asking."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def start(self, course: Course) -> None:
        """Carry out a course, from now on."""
        self.after(0.0, lambda: self.carry_on(course))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something in so many seconds."""
        heappush(self._due, (self.now + seconds, next(self._numbers), action))

    def carry_on(self, course: Course) -> None:
        """Let a course go on until it rests or waits again."""
        for awaited in course:
            if isinstance(awaited, float):
                self.after(awaited, lambda: self.carry_on(course))
            else:
                awaited.add(course)
            return

    def run(self, until: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Let time pass until then, or until it is over."""
        while self._due and not is_over():
            if self._due[0][0] > until:
                self.now = until
                return
            self.now, _, action = heappop(self._due)
            action()


class Bell:
    """Wakes one course up, or keeps it from falling asleep where it was not waiting."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sleeper: Course | None = None
        self._has_rung = False

    def add(self, course: Course) -> None:
        """Have a course sleep until the next ring, if there was none since it woke up."""
        if self._has_rung:
            self._has_rung = False
            self._clock.start(course)
        else:
            self._sleeper = course

    def ring(self) -> None:
        """Wake the course up."""
        if self._sleeper is None:
            self._has_rung = True
        else:
            self._clock.start(self._sleeper)
            self._sleeper = None
