"""The start of a server that ends when the code changes, for `leek.management.reloading`.

Over a pipe it gets the command line, and then orders to stop.
"""

import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import django
from django.utils.autoreload import check_errors

from leek.management.reloading import CHANGED

if TYPE_CHECKING:
    from leek.server.supervisor import Supervisor

WRONG = 1  # the exit code of a command that a change of the code, or of settings, may mend


def main(descriptor: int) -> None:
    """Run the server; where the code does not let it start, wait for a change of the code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until there is a server that acts on it
    leash = Leash(Connection(descriptor))
    sys.argv = leash.command_line()
    threading.Thread(target=leash.run, name="leek-leash", daemon=True).start()
    try:
        check_errors(django.setup)()
        from leek.management.reloaded_server import Command

        Command(leash).run_from_argv(sys.argv)
    except SystemExit as end:
        if end.code != WRONG:
            raise
    except Exception:  # noqa: BLE001 (it is shown)
        traceback.print_exc()
    else:
        sys.exit(leash.exit_code)
    await_change()


def await_change() -> None:
    """Wait for a change of the code, then end."""
    from leek.server.watching import CodeWatch

    print("leek_server starts when the code has changed.", file=sys.stderr, flush=True)  # noqa: T201
    CodeWatch(lambda: None).run_without_site()
    sys.exit(CHANGED)


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
