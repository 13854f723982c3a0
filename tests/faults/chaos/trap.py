"""What a server without its fence cannot survive."""

from collections.abc import Callable
from pathlib import Path

from tests.faults.chaos import log
from tests.faults.chaos.hosts import Hosts
from tests.faults.chaos.log import Line
from tests.faults.chaos.servers import Slot

PATIENCE = 0.05  # seconds between two looks


class Trap:
    """Freezes the server that runs the only task, until another server runs it, too.

    Then the first one wakes up and hands in its outcome, while the task is the other one's. On
    hosts it is not frozen, but cut off from the database. `is_locked` tells whether somebody keeps
    all others from writing: one that is frozen in the midst of that would do so for good.
    """

    def __init__(
        self,
        slots: list[Slot],
        path: Path,
        hosts: Hosts | None,
        later: Callable[[float, Callable[[], None]], None],
        is_locked: Callable[[], bool],
    ) -> None:
        self._slots = slots
        self._path = path
        self._hosts = hosts
        self._later = later
        self._is_locked = is_locked
        self._free: Callable[[], None] | None = None

    def look(self) -> None:
        """Seize the server or let it go if it is time, and look again until both are done."""
        runs = [line for line in log.read(self._path) if line["what"] == "begun"]
        if runs and self._free is None:
            self._free = self._seize(runs[0])
        if len(runs) > 1 and self._free is not None:
            self._free()
        else:
            self._later(PATIENCE, self.look)

    def _seize(self, run: Line) -> Callable[[], None] | None:
        (slot,) = (slot for slot in self._slots if slot.pid in (run["pid"], run["parent"]))
        if self._hosts:
            log.write("fault", kind="no database", server=None, slot=slot.number)
            return self._hosts.begin("no database", slot.number).heal
        slot.freeze()
        if self._is_locked():
            slot.thaw()
            return None
        log.write("fault", kind="freeze", server=slot.pid)
        return slot.thaw
