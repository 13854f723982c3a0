"""What `leek.management.reloading` asks of the server that ends when the code changes."""

import os
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from leek.management.reloading import CHANGED

if TYPE_CHECKING:
    from leek.server.supervisor import Supervisor


class Leash:
    """Hears what the parent process wants; when that is gone, this one has to stop."""

    def __init__(self, pipe: Connection) -> None:
        self.exit_code = 0
        self._pipe = pipe
        self._lock = threading.Lock()
        self._supervisor: Supervisor | None = None

    def command_line(self) -> list[str]:
        """Return the command line; end where the parent has ended as this process began."""
        try:
            argv: list[str] = self._pipe.recv()
        except (EOFError, OSError):
            sys.exit()
        return argv

    def run(self) -> None:
        """Act on orders, and on the parent's end."""
        with suppress(EOFError, OSError):
            while order := self._pipe.recv():
                self._stop(now=order == "now")
        self._stop()

    def hold(self, supervisor: "Supervisor | None") -> None:
        """Stop this server when there is an order, or else the process at once."""
        with self._lock:
            self._supervisor = supervisor

    def reload(self) -> None:
        """Stop the server, for another one to follow."""
        self.exit_code = CHANGED
        self._stop()

    def _stop(self, *, now: bool = False) -> None:
        with self._lock:
            if self._supervisor is None:
                os._exit(self.exit_code)
            self._supervisor.ask_to_stop(now=now)
