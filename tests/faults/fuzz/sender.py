"""Sends inputs to a server, in a process of its own so that it slows nobody's clock.

python -m tests.faults.fuzz.sender PORT INPUTS SEED
"""

import random
import socket
import struct
import sys
from collections import deque
from contextlib import suppress
from itertools import cycle

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from leek.protocol import Reply, encode_word, read_reply
from tests.faults.fuzz.inputs import VARIANTS, Input, inputs, variants

DRAWN = 10  # inputs that Hypothesis draws at a time
AT_ONCE = 100  # inputs that the server need not have accepted yet; the system keeps some for it
MOST_HELD = 400  # connections that are held open, more than a server hears at a time
NO_LINGER = struct.pack("ii", 1, 0)  # closing sends RST, which leaves nothing behind


class Sender:
    """Opens a connection for each input; what ends in silence is held open for a while."""

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        # From many addresses, because each has some ten thousand ports that rest after use.
        self._sources = cycle([f"127.0.0.{number}" for number in range(2, 250)])
        self._held: deque[socket.socket] = deque()
        self.sent = 0

    def send(self, what: Input) -> None:
        """Connect, send all pieces that the server takes, and end the connection as asked."""
        connection = self._connect()
        connection.setblocking(False)
        with suppress(OSError):  # the server may have had enough
            for piece in what.pieces:
                connection.send(piece)
            if what.ending == "half-close":
                connection.shutdown(socket.SHUT_WR)
        if what.ending == "FIN":
            connection.close()
        elif what.ending == "RST":
            reset(connection)
        else:
            self._held.append(connection)
            if len(self._held) > MOST_HELD:
                reset(self._held.popleft())
        self.sent += 1
        if self.sent % AT_ONCE == 0:
            self._ask()

    def _connect(self) -> socket.socket:
        return socket.create_connection(self._server, 60, (next(self._sources), 0))

    def _ask(self) -> None:
        """Ask an honest question, which is answered when all before it was accepted."""
        with self._connect() as connection, connection.makefile("rb") as lines:
            connection.sendall(encode_word("ping"))
            assert read_reply(lines) == Reply(True, "I'm OK")

    def close(self) -> None:
        """End what is held."""
        while self._held:
            reset(self._held.popleft())


def reset(connection: socket.socket) -> None:
    """Close by RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    connection.close()


def send_all(port: int, number: int, seed: int) -> int:
    """Send at least so many inputs, always the same for a seed; return how many it were."""
    sender = Sender(port)

    @hypothesis.seed(seed)
    @settings(
        max_examples=-(-number // (DRAWN * VARIANTS)),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(inputs, min_size=DRAWN, max_size=DRAWN), st.integers(0, 2**32))
    def send(drawn: list[Input], variant_seed: int) -> None:
        chance = random.Random(variant_seed)
        for original in drawn:
            for what in variants(original, chance):
                sender.send(what)

    send()
    sender.close()
    return sender.sent


if __name__ == "__main__":
    print(send_all(*map(int, sys.argv[1:])))
