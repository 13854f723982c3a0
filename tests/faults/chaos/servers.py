"""The places where servers run, one process after the other, as under systemd."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.faults.chaos import clocks, log
from tests.support import ROOT, free_port

RESTART_PAUSE = 0.3  # seconds, after a death that nobody asked for


class Slot:
    """A place for a server: it has its options, and starts anew whatever ends there."""

    def __init__(
        self, number: int, options: list[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        self.number = number
        self.port = free_port()
        self.log = folder / f"server-{number}.log"
        self.clock = folder / f"clock-{number}"
        self.is_frozen = False
        self._options = options
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._cause = ""
        self._due = 0.0
        self._is_closing = False

    @property
    def pid(self) -> int | None:
        """The process id of the server; None while there is none that could be hit."""
        if self._process is None or self._process.poll() is not None or self._cause:
            return None
        return self._process.pid

    def watch(self) -> None:
        """Log the end of the server, and start the next one when its pause is over."""
        if self._process is not None and (code := self._process.poll()) is not None:
            pid = self._process.pid
            log.write("gone", server=pid, code=code, cause=self._cause)
            clocks.clean_up(pid)
            with suppress(ProcessLookupError):  # a child that it left behind
                os.killpg(pid, signal.SIGKILL) if self._is_closing else None
            self._process = None
        if self._process is None and not self._is_closing and time.monotonic() >= self._due:
            self._launch()

    def kill(self, cause: str, pause: float) -> None:
        """End the server by SIGKILL; the next one comes after a pause."""
        self._end(cause, signal.SIGKILL, pause)

    def terminate(self, pause: float) -> None:
        """End the server by SIGTERM; the next one comes after a pause."""
        log.write("stop asked", server=self.pid)
        self._end("terminate", signal.SIGTERM, pause)

    def freeze(self) -> None:
        """Stop the server and its children, as a host does that is suspended."""
        self.is_frozen = True
        self._signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        if self.is_frozen:
            self.is_frozen = False
            self._signal_group(signal.SIGCONT)

    def close(self) -> None:
        """Start no server any more, and ask the one that is there to stop."""
        self._is_closing = True
        self.thaw()
        if self.pid is not None:
            self.terminate(0.0)

    def destroy(self) -> None:
        """End everything that runs here."""
        self._is_closing = True
        if self._process is not None:
            self._signal_group(signal.SIGKILL)
            self._process.wait()
            clocks.clean_up(self._process.pid)

    @property
    def is_empty(self) -> bool:
        """Whether no process runs here."""
        return self._process is None

    def _end(self, cause: str, number: signal.Signals, pause: float) -> None:
        assert self._process is not None
        self._cause = cause
        self._due = time.monotonic() + pause
        self._process.send_signal(number)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _launch(self) -> None:
        command = [sys.executable, "-m", "django", "leek_server", "-v0", "--port", str(self.port)]
        with self.log.open("a") as stream:
            self._process = subprocess.Popen(
                [*command, *self._options],
                env={**self._environment, **clocks.environment(self.clock)},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._cause = ""
        self.is_frozen = False
        self._due = time.monotonic() + RESTART_PAUSE
        log.write("launched", server=self._process.pid, slot=self.number, port=self.port)
