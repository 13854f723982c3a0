"""Reads who the siblings of this server are."""

from collections.abc import Callable
from uuid import UUID

from leek import leases
from leek.models import Servers
from leek.server.service import LateService, Outage

LONG = 3600.0  # seconds to rest where nobody asks: who does wakes it


class SiblingReader(LateService):
    """Takes the question who else lives, and hands on the rows of those servers.

    Nobody waits for it: it may have to wait for the database, or for its return.
    """

    name = "sibling-reader"

    def __init__(
        self, outage: Outage, boot: UUID, on_read: Callable[[list[Servers]], None]
    ) -> None:
        super().__init__(outage)
        self._boot = boot
        self._on_read = on_read
        self._is_asked = False

    def ask(self) -> None:
        """Have the siblings read soon."""
        self._is_asked = True
        self.start_once()
        self.wake()

    def run_once(self) -> None:
        """Read if somebody asked, and rest until somebody does."""
        if self._is_asked:
            self._read()
        self.rest(LONG)

    def _read(self) -> None:
        self._is_asked = False  # before the read, because who asks during it wants a later one
        try:
            found = leases.siblings(self._boot)
        except Exception:
            self._is_asked = True
            raise
        self._on_read(found)
