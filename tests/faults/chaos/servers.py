"""The places where servers run, one process after the other, as under systemd."""

import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.faults.chaos import clocks, log, sessions
from tests.faults.chaos.hosts import PORT, Hosts
from tests.faults.chaos.schedule import CLOCK_SLOT, clocks_apart
from tests.faults.hosts.host import Host
from tests.support import LEEK_SERVER, ROOT, free_port

WORKERS = (1, 4, 2)  # of the server in each slot
RESTART_PAUSE = 0.3  # seconds, after a death that nobody asked for


def make_slots(
    environment: Mapping[str, str], folder: Path, hosts: Hosts | None, seed: int
) -> list["Slot"]:
    """Return the slots; the Workers of the last one have processes of their own, if they can.

    On hosts each is on one of its own, whose clock is minutes wrong.
    """
    options = [["--workers", str(workers)] for workers in WORKERS]
    if "--isolate" in _help(environment):
        options[-1].append("--isolate")
    slots = [Slot(number, given, environment, folder) for number, given in enumerate(options)]
    if hosts:
        for slot, host, seconds in zip(slots, hosts.servers, clocks_apart(seed), strict=True):
            slot.move_to(host, seconds)
    return slots


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
        self.address, self.port = "localhost", free_port()
        self.log = folder / f"server-{number}.log"
        self.clock = folder / f"clock-{number}"
        self.is_frozen = False
        self._options = options
        self._environment = dict(environment)
        if number == CLOCK_SLOT:
            self._environment |= clocks.environment(self.clock)
        self._prefix: Sequence[str] = ()
        self._clock_is_off = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._cause = ""
        self._due = 0.0
        self._is_closing = False
        self._sessions: list[int] = []

    def move_to(self, host: Host, seconds: float) -> None:
        """Have the servers on a host, whose clock is wrong by so many seconds."""
        self.address, self.port = host.address, PORT
        self._prefix = host.prefix
        self._clock_is_off = seconds
        self._environment = host.environment(self._environment) | clocks.environment(self.clock)
        self.set_clock(0)

    def set_clock(self, seconds: float) -> None:
        """Set the clock of the server, if it can be set, so many seconds from where it belongs."""
        clocks.set_clock(self.clock, self._clock_is_off + seconds)

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

    @property
    def _place(self) -> list[str]:
        return ["--host", self.address, "--port", str(self.port)]

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
                [*self._prefix, *LEEK_SERVER, "-v0", *self._place, *self._options],
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
