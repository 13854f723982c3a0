"""The connection that hints are sent over."""

import socket
import time
from contextlib import suppress

from leek.links import give_up_when_dead
from leek.places import Place
from leek.protocol import encode_word

LONGEST_REST = 1.0  # seconds after its last hint for which a line is used; the server waits longer
LONGEST_USE = 60.0  # seconds after which a line is replaced: the name may lead elsewhere by now
LONGEST_SILENCE = 1.0  # seconds that a host may take to acknowledge a hint

_HINT = encode_word("hint")


class HintLine:
    """A connection to the server that hints are sent over, as long as the server keeps it.

    It ends where the server's host is gone without a word, on systems that can tell. The host of
    a server whose process is frozen still acknowledges hints, which nobody reads then.
    """

    def __init__(self, place: Place, connection: socket.socket) -> None:
        self.place = place
        self._connection = connection
        self._connection.setblocking(False)
        with suppress(OSError):  # some systems refuse where the server has closed already
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            give_up_when_dead(self._connection, LONGEST_SILENCE)
        self._opened = self._used = time.monotonic()

    def is_open(self) -> bool:
        """Tell whether the server is still there, and can be expected to hear the next hint."""
        now = time.monotonic()
        if now > self._used + LONGEST_REST or now > self._opened + LONGEST_USE:
            return False
        try:
            self._connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False  # it has closed, or talks as no leek_server does

    def hint(self) -> None:
        """Send a hint; raise OSError where the line is of no use any more."""
        self._used = time.monotonic()
        try:
            sent = self._connection.send(_HINT)
        except BlockingIOError:
            return  # earlier hints lie unread there, and are as good
        if sent < len(_HINT):
            raise ConnectionError("there was no room for a whole hint")

    def close(self) -> None:
        """End the connection."""
        self._connection.close()
