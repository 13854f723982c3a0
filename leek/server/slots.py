"""A limited number of slots; who wants one when all are taken has to wait."""

import threading


class Slots:
    """Slots with the numbers from 0 on. Any thread may take one, or give one back."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._free = list(reversed(range(number)))
        self._change = threading.Condition()
        self._ended = False
        self._waiting = 0

    def take(self) -> int | None:
        """Wait for a slot and take it; None tells that no more are given out."""
        with self._change:
            self._waiting += 1
            self._change.wait_for(lambda: self._free or self._ended)
            self._waiting -= 1
            return None if self._ended else self._free.pop()

    def give_back(self, slot: int) -> None:
        """Let somebody else have a slot."""
        with self._change:
            self._free.append(slot)
            self._change.notify()

    def end(self) -> None:
        """Give out no more, also to those who wait."""
        with self._change:
            self._ended = True
            self._change.notify_all()

    @property
    def has_ended(self) -> bool:
        """Whether no more are given out."""
        return self._ended

    @property
    def are_unused(self) -> bool:
        """Whether none is taken."""
        with self._change:
            return len(self._free) == self._number

    @property
    def waiting(self) -> int:
        """The number of threads that wait for a slot."""
        return self._waiting
