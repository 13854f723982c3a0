"""What a server without its fence cannot survive."""

from collections.abc import Callable
from pathlib import Path

from tests.faults.chaos import log
from tests.faults.chaos.log import Line
from tests.faults.chaos.servers import Slot

PATIENCE = 0.05  # seconds between two looks


class Trap:
    """Freezes the server that runs the only task, until another server runs it, too.

    Then the first one wakes up and hands in its outcome, while the task is the other one's.
    """

    def __init__(
        self, slots: list[Slot], path: Path, later: Callable[[float, Callable[[], None]], None]
    ) -> None:
        self._slots = slots
        self._path = path
        self._later = later
        self._frozen: Slot | None = None

    def look(self) -> None:
        """Freeze or thaw if it is time, and look again until both are done."""
        runs = [line for line in log.read(self._path) if line["what"] == "begun"]
        if runs and self._frozen is None:
            self._freeze(runs[0])
        if len(runs) > 1 and self._frozen is not None:
            self._frozen.thaw()
        else:
            self._later(PATIENCE, self.look)

    def _freeze(self, run: Line) -> None:
        for slot in self._slots:
            if slot.pid in (run["pid"], run["parent"]):
                log.write("fault", kind="freeze", server=slot.pid)
                slot.freeze()
                self._frozen = slot
