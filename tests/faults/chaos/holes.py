"""Ports at which hints get lost, each in its own way."""

import socket
from contextlib import ExitStack, suppress

from tests.support import free_port

Place = tuple[str, int]


class Holes:
    """Sockets that swallow hints.

    Nobody listens at `nobody`; `silent` is listened at and nothing is ever read; at `full` no
    connection comes about, as behind a firewall that drops packets. All are on the host of the
    thread that makes them.
    """

    def __init__(self) -> None:
        self._sockets = ExitStack()
        self._silent = self._listen(128)
        self._full = self._listen(0)
        for _ in range(4):  # they stay in the queue of connections that is full thereby
            client = self._sockets.enter_context(socket.socket())
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(("127.0.0.1", self._full))
        self._nobody = free_port()

    def places(self, server: Place) -> dict[str, Place]:
        """Return the hosts and ports that hints may go to, the server's among them."""
        ports = {"nobody": self._nobody, "silent": self._silent, "full": self._full}
        return {"server": server} | {name: ("127.0.0.1", port) for name, port in ports.items()}

    def close(self) -> None:
        """Free the sockets."""
        self._sockets.close()

    def _listen(self, backlog: int) -> int:
        listening = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        return int(self._sockets.enter_context(listening).getsockname()[1])
