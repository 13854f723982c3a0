"""A selector whose wait any thread may end."""

import socket
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector


class WakeableSelector(DefaultSelector):
    """Waits for connections, or until `wake` is called; each has what to call as its data."""

    def __init__(self) -> None:
        super().__init__()
        try:
            self._alarm, self._alarmed = socket.socketpair()
        except OSError:
            super().close()
            raise
        for end in (self._alarm, self._alarmed):
            end.setblocking(False)
        self.register(self._alarmed, EVENT_READ, self._hear_alarm)

    def wake(self) -> None:
        """End the wait, or else the next one."""
        with suppress(OSError):  # full: it ends anyway; closed: it is over
            self._alarm.send(b"\0")

    def close(self) -> None:
        """Wait no more."""
        super().close()
        self._alarm.close()
        self._alarmed.close()

    def _hear_alarm(self) -> None:
        with suppress(BlockingIOError):
            self._alarmed.recv(4096)
