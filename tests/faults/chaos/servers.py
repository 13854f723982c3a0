"""The places where servers run, one process after the other, as under systemd."""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.faults.chaos import clocks, log, sessions
from tests.faults.chaos.schedule import CLOCK_SLOT
from tests.support import ROOT, free_port

LEEK_SERVER = (sys.executable, "-m", "django", "leek_server")
WORKERS = (1, 4, 2)  # of the server in each slot
RESTART_PAUSE = 0.3  # seconds, after a death that nobody asked for


def make_slots(environment: Mapping[str, str], folder: Path) -> list["Slot"]:
    """Return the slots; the Workers of the last one have processes of their own, if they can."""
    options = [["--workers", str(workers)] for workers in WORKERS]
    if "--isolate" in _help(environment):
        options[-1].append("--isolate")
    return [Slot(number, given, environment, folder) for number, given in enumerate(options)]


def _help(environment: Mapping[str, str]) -> str:
    return subprocess.run(
        [*LEEK_SERVER, "--help"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


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
        self._environment = dict(environment)
        if number == CLOCK_SLOT:
            self._environment |= clocks.environment(self.clock)
        self._process: subprocess.Popen[bytes] | None = None
        self._cause = ""
        self._due = 0.0
        self._is_closing = False
        self._sessions: list[int] = []

    @property
    def pid(self) -> int | None:
        """The process id of the server; None while there is none that could be hit."""
        if self._process is None or self._process.poll() is not None or self._cause:
            return None
        return self._process.pid

    def watch(self) -> None:
        """Log the end of the server, and start the next one when its pause is over."""
        if self._process is not None and (code := self._process.poll()) is not None:
            log.write("gone", server=self._process.pid, code=code, cause=self._cause)
            clocks.clean_up(self._process.pid)
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
        """Stop the server; a child process goes on, and hands in what it can."""
        self.is_frozen = True
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self.is_frozen:
            self.is_frozen = False
            self._send(signal.SIGCONT)

    def close(self) -> None:
        """Start no server any more, and ask the one that is there to stop."""
        self._is_closing = True
        self.thaw()
        if self.pid is not None:
            self.terminate(0.0)

    def destroy(self) -> None:
        """End everything that runs here, and what has been left behind."""
        self._is_closing = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            clocks.clean_up(self._process.pid)
        for session in self._sessions:
            if left := sessions.living(session):
                log.write("left behind", server=session, processes=left)
                sessions.kill(session)
        self._sessions.clear()

    @property
    def is_empty(self) -> bool:
        """Whether no process runs here."""
        return self._process is None

    def _end(self, cause: str, number: signal.Signals, pause: float) -> None:
        self._cause = cause
        self._due = time.monotonic() + pause
        self._send(number)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _launch(self) -> None:
        with self.log.open("a") as stream:
            self._process = subprocess.Popen(
                [*LEEK_SERVER, "-v0", "--port", str(self.port), *self._options],
                env=self._environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._cause = ""
        self.is_frozen = False
        self._due = time.monotonic() + RESTART_PAUSE
        self._sessions.append(self._process.pid)
        log.write("launched", server=self._process.pid, slot=self.number, port=self.port)
