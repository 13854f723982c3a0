"""When the dispatcher looks for work by itself, and how long it waits for more hints."""

import time

GATHERING = 0.002  # seconds from a claim that took all there was to the next one
LOOK_AFTER = 0.01  # seconds from a claim to a look: first the workers are to have their tasks
SIBLINGS_KNOWN_FOR = 1.0  # seconds from a look on that there are none
NEW_FOR = 1.2  # seconds from the start, after which siblings know of this server
LOOK_WHILE_NEW = 0.04  # seconds between looks until then, where there are siblings
LOOK_WHILE_LOCKED = 0.1  # seconds between looks while nothing of what is due can be made ready


class Timetable:
    """Is told what the dispatcher has done and found; all times are of the monotonic clock.

    `next_look` is when the agenda is to be looked at, at the latest.
    """

    def __init__(self, poll_interval: float) -> None:
        self.next_look = 0.0
        self._poll_interval = poll_interval
        self._looked_at = self._gather_until = 0.0
        self._new_until = time.monotonic() + NEW_FOR

    @property
    def is_time_to_look(self) -> bool:
        """Whether the agenda is to be looked at now."""
        return time.monotonic() >= self.next_look

    @property
    def left_to_gather(self) -> float:
        """For how many seconds to wait for more hints before the next claim; none if negative."""
        return self._gather_until - time.monotonic()

    def look_in(self, seconds: float) -> None:
        """Have the agenda looked at in so many seconds at the latest."""
        self.next_look = min(self.next_look, time.monotonic() + seconds)

    def looked(self, next_due: float | None, *, has_siblings: bool) -> None:
        """Note a look, and in how many seconds it has found the next task to be due.

        At first the next look follows soon where there are siblings: those that do not know of this
        server do not tell it of tasks.
        """
        self._looked_at = time.monotonic()
        self.next_look = self._looked_at + self._poll_interval
        if has_siblings and self._looked_at < self._new_until:
            self.look_in(LOOK_WHILE_NEW)
        if next_due is not None:
            self.look_in(next_due)

    def left_what_is_due(self) -> None:
        """Note that the latest look has found due tasks, and others have them locked."""
        self.next_look = max(self.next_look, self._looked_at + LOOK_WHILE_LOCKED)

    def claimed_all(self) -> None:
        """Note a claim that took all there was."""
        self._gather_until = time.monotonic() + GATHERING
        self.look_in(LOOK_AFTER)

    def look_for_siblings(self) -> None:
        """Look again where the latest look has found none, and there is something to tell them."""
        self.look_in(self._looked_at + SIBLINGS_KNOWN_FOR - time.monotonic())
