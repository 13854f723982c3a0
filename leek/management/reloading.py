"""leek_server --reload: one server after the other, each with the code as it then is."""

import subprocess
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from multiprocessing.connection import Connection

from leek.server.mailbox import Mailbox, Request
from leek.server.shutdown import on_stop_signals
from leek.server.spawning import spawn

CHANGED = 3  # the exit code of a server that is to be followed by another one
ORDERS = {Request.STOP: "stop", Request.STOP_NOW: "now"}


class Reloader:
    """Starts servers in child processes, and passes on what signals ask for.

    A server watches the code by itself (see `leek.management.reloaded`): only it knows what it has
    imported. It belongs to the same group of processes, so that a task may use the terminal; what
    Ctrl-C sends to both is one and the same order. It ends with this process, however that ends.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self._mailbox = Mailbox()
        self._signals = 0

    def run(self) -> int:
        """Run servers until a stop is asked for; return the exit code."""
        signals = on_stop_signals(self._signalled, self._mailbox.wakeup_fd, ends_process=True)
        with closing(self._mailbox), signals:
            code = CHANGED
            while code == CHANGED and not self._signals:
                code = self._run_server()
        if self._signals:
            return 0
        return 128 - code if code < 0 else code  # a signal has ended it: as shells tell of that

    def _signalled(self) -> None:
        self._signals += 1
        self._mailbox.put(Request.STOP if self._signals == 1 else Request.STOP_NOW)

    def _run_server(self) -> int:
        """Run a server to its end, and return its exit code."""
        server, pipe = spawn("leek.management.reloaded", stdin=None, process_group=None)
        threading.Thread(
            target=self._report_end, args=[server], name="leek-reload", daemon=True
        ).start()
        with pipe:
            _send(pipe, self._argv)
            while (request := self._mailbox.get()) is not Request.PART_ENDED:
                if request:
                    _send(pipe, ORDERS[request])
        return server.wait()

    def _report_end(self, server: "subprocess.Popen[bytes]") -> None:
        server.wait()
        self._mailbox.put(Request.PART_ENDED)


def _send(pipe: Connection, message: object) -> None:
    with suppress(OSError):  # it has ended
        pipe.send(message)
