"""What the main thread waits at: requests from threads and from signal handlers."""

import select
import socket
import time
from collections import deque
from contextlib import suppress
from enum import Enum, auto


class Request(Enum):
    """What can be asked of the supervisor."""

    START_WORKER = auto()
    STOP = auto()
    STOP_NOW = auto()
    STOP_WORKER = auto()
    PART_ENDED = auto()


class Mailbox:
    """A queue whose `put` is safe inside a signal handler, and whose `get` any signal wakes up.

    The system may deliver a signal to any thread; Python then runs its handler in the main thread,
    but only when that wakes up. So the main thread waits at a socket, to which Python writes at
    each signal (`signal.set_wakeup_fd`), rather than at a lock.
    """

    def __init__(self) -> None:
        self._requests: deque[Request] = deque()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    @property
    def wakeup_fd(self) -> int:
        """The file descriptor for `signal.set_wakeup_fd`."""
        return self._writer.fileno()

    def put(self, request: Request) -> None:
        """Add a request."""
        self._requests.append(request)
        with suppress(OSError):  # full: the reader wakes up anyway; closed: nobody waits any more
            self._writer.send(b"\0")

    def get(self, timeout: float | None = None) -> Request | None:
        """Wait for a request and return it; None if there was none for `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._requests:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            if select.select([self._reader], [], [], left)[0]:
                self._reader.recv(4096)
        return self._requests.popleft()

    def close(self) -> None:
        """Free the sockets; a request that comes later is dropped."""
        self._reader.close()
        self._writer.close()
