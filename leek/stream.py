"""What a socket receives, as a stream with a deadline."""

import io
import socket
import time
from typing import Any


class DeadlineReader(io.BufferedReader):
    """Reads what a socket receives within so many seconds in all, however slowly it drips."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._bytes = _Bytes(connection, time.monotonic() + seconds)
        super().__init__(self._bytes)

    def lift_deadline(self) -> None:
        """Wait as long as it takes from now on."""
        self._bytes.deadline = None


class _Bytes(io.RawIOBase):
    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self.deadline: float | None = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(self._seconds_left())
        return self._connection.recv_into(buffer)

    def _seconds_left(self) -> float | None:
        if self.deadline is None:
            return None
        if (left := self.deadline - time.monotonic()) <= 0:
            raise TimeoutError("timed out")
        return left
