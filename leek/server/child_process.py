"""The server's end of a child process: the pipe to it, what its tasks log, and how it ends."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from typing import Any

from leek.server.child_log import ChildLog, new_file
from leek.server.spawning import spawn

EXIT_TIMEOUT = 2.0  # seconds that a process gets to end in when it is no longer needed
LOOK_INTERVAL = 1.0  # seconds between looks at a process, whose death may not close the pipe


class ChildProcess:
    """A spawned process that runs `leek.server.child`, the pipe to it and what its tasks log."""

    def __init__(self, log_lines: int) -> None:
        self.tasks = 0
        self.memory = 0
        with new_file(log_lines) as descriptor:
            self.log = ChildLog(descriptor, log_lines)
            self._process, self._pipe = spawn("leek.server.child", descriptor)

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def send(self, message: Any) -> None:
        """Hand over a value; raise OSError if the process is gone."""
        self._pipe.send(message)

    def receive(self, timeout: float | None = None) -> Any:
        """Return what the process sends.

        Raise TimeoutError when it has sent nothing for `timeout` seconds, EOFError or OSError when
        it is gone. One that the process has forked may keep the pipe open.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LOOK_INTERVAL if deadline is None else deadline - time.monotonic()
            if self._pipe.poll(max(min(left, LOOK_INTERVAL), 0.0)):
                return self._pipe.recv()
            if left <= 0:
                raise TimeoutError
            if not self.is_alive and not self._pipe.poll():
                raise EOFError

    def end(self) -> str:
        """Close the pipe and wait for the end of the process; say in words how it ended."""
        self._pipe.close()
        try:
            code = self._process.wait(EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"did not end in {EXIT_TIMEOUT:g} s and was killed"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"

    def interrupt(self) -> None:
        """Have the process end, and those that it has started in its group and may leave behind."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Do as `interrupt`, and wait for the end."""
        self.interrupt()
        with suppress(subprocess.TimeoutExpired):  # the system may hold it for a while
            self._process.wait(EXIT_TIMEOUT)
