"""A peer's worker while it is measured."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.benchmarks.peers.peer import Peer

STOP_WITHIN = 5.0


class Failed(Exception):
    """A measurement that cannot be had, with its reason."""


class Worker:
    """A worker process, in the process group of who measures, so that all can be ended at once."""

    def __init__(self, peer: Peer) -> None:
        self._log = Path(peer.place.directory) / "worker.log"
        self._stream = self._log.open("a")
        self._process = subprocess.Popen(
            peer.worker(),
            env=peer.place.environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._stream,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stream.close()

    def wait(self, condition: Callable[[], bool], seconds: float, pause: float = 0.002) -> bool:
        """Wait for a condition, and tell whether it came true in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            if self._process.poll() is not None:
                raise Failed(f"the worker ended: {last_line(self._log)}")
            time.sleep(pause)
        return True


def last_line(log: Path) -> str:
    """Return the last line of a log that says something."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing")
