"""A connection to a sibling, over which it is offered work, and what it has last said."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from io import BytesIO
from selectors import EVENT_READ, BaseSelector

from leek.connecting import connect
from leek.exceptions import ProtocolError
from leek.places import Place
from leek.protocol import BUSY, IDLE, MAX_LINE, TAKEN, NotLeek, Reply, encode_word, read_reply
from leek.queues import Queues
from leek.retry import backoff
from leek.server.journal import journal
from leek.server.offers import LONGEST_OFFERING

CONNECTED_WITHIN = 1.0  # seconds
ANSWERED_SOON = 0.01  # seconds from which on another sibling is asked as well
ANSWERED_WITHIN = 2.0  # seconds, connecting included
BUSY_FOR = LONGEST_OFFERING + 5.0  # seconds after an offer by which its connection has ended
REPLACED_ONCE_IN = LONGEST_OFFERING / 2  # seconds: a connection that a busy one ends
FIRST_REST, LONGEST_REST = 1.0, 30.0  # seconds without offers after a failure, doubling

_OFFER = encode_word("offer")


class Standing(Enum):
    """What is known of a sibling: nothing, or what it has answered, or that it is to answer."""

    UNKNOWN = auto()
    ASKED = auto()
    FREE = auto()
    BUSY = auto()


class SiblingLine:
    """Offers work to one sibling, and hears what it says; all is done by the forwarder's thread.

    But for connecting, which may take long and so has a thread of its own; that calls `wake` when
    there is something to `take_up`. `on_idle` is called when the sibling says that it has room
    again. One that cannot be reached, or does not answer, is left alone for a while.
    """

    def __init__(
        self,
        place: Place,
        queues: Queues,
        selector: BaseSelector,
        *,
        wake: Callable[[], None],
        on_idle: Callable[[], None],
    ) -> None:
        self.place = place
        self.queues = queues
        self.standing = Standing.UNKNOWN
        self.asked_at = self.taken_at = float("-inf")
        self._selector = selector
        self._wake = wake
        self._on_idle = on_idle
        self._connection: socket.socket | None = None
        self._received = b""
        self._is_new = True  # the connection: nothing was heard over it
        self._has_more = False  # to offer, since it was asked or said that it is busy
        self._replaced_at = float("-inf")  # the connection that ended while the sibling was busy
        self._failures = 0
        self._rests_until = 0.0
        self._lock = threading.Lock()
        self._made: socket.socket | OSError | None = None
        self._is_closed = False

    @property
    def may_have_room(self) -> bool:
        """Whether an offer may be of use: it has not said that it is busy, and can be reached.

        After long it may have said more, over a connection that has broken unnoticed.
        """
        now = time.monotonic()
        is_busy = self.standing is Standing.BUSY and now < self.asked_at + BUSY_FOR
        return not is_busy and now >= self._rests_until

    @property
    def is_late(self) -> bool:
        """Whether an answer is still to come that most would have given by now."""
        return self.standing is Standing.ASKED and (
            time.monotonic() >= self.asked_at + ANSWERED_SOON
        )

    def remember(self) -> None:
        """Have one that is busy offered more when it has room; any thread may call this."""
        if self.standing is Standing.BUSY:
            self._has_more = True

    def offer(self) -> None:
        """Tell the sibling that there is work; what it answers changes its standing."""
        if self.standing is Standing.ASKED:  # it may have looked before this came up
            self._has_more = True
            return
        self.standing, self.asked_at = Standing.ASKED, time.monotonic()
        self._has_more = False
        if self._connection is not None:
            self._send()
            return
        self._is_new = True
        threading.Thread(target=self._connect, name="leek-sibling", daemon=True).start()

    def take_up(self) -> None:
        """Use the connection that was made, if there is one."""
        with self._lock:
            made, self._made = self._made, None
        if isinstance(made, OSError):
            self._fail(made)
        elif made is not None:
            self._connection = made
            self._selector.register(made, EVENT_READ, self.receive)
            self._send()

    def receive(self) -> None:
        """Hear what the sibling says."""
        try:
            self._hear_lines()
        except BlockingIOError:
            pass
        except (OSError, ProtocolError) as error:
            self._lose(error)

    def give_up_if_silent(self, now: float) -> None:
        """Leave alone for a while who has not answered for too long."""
        if self.standing is Standing.ASKED and now >= self.asked_at + ANSWERED_WITHIN:
            self._disconnect()
            self._fail(TimeoutError("it does not answer"))

    def close(self) -> None:
        """End the connection, also one that is being made."""
        self._disconnect()
        with self._lock:
            self._is_closed = True
            if isinstance(self._made, socket.socket):
                self._made.close()

    def _connect(self) -> None:
        made: socket.socket | OSError
        try:
            made = connect(*self.place, CONNECTED_WITHIN)
            made.setblocking(False)
            with suppress(OSError):  # some systems refuse where the server has closed already
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            made = error
        with self._lock:
            self._made = made
            if self._is_closed and isinstance(made, socket.socket):
                made.close()
        self._wake()

    def _send(self) -> None:
        try:
            if self._connection is None or self._connection.send(_OFFER) < len(_OFFER):
                raise ConnectionError("there was no room for a whole line")
        except OSError as error:
            self._lose(error)

    def _hear_lines(self) -> None:
        while self._connection is not None:
            chunk = self._connection.recv(MAX_LINE - len(self._received))
            self._received += chunk
            if not chunk:
                raise ConnectionError("it has closed the connection")
            while b"\n" in self._received:
                line, end, self._received = self._received.partition(b"\n")
                self._hear(read_reply(BytesIO(line + end)))
            if len(self._received) >= MAX_LINE:
                raise NotLeek("not an answer")

    def _hear(self, reply: Reply) -> None:
        if reply not in (TAKEN, BUSY, IDLE):
            raise NotLeek(f"not an answer: {reply.value}")
        self._is_new, self._failures = False, 0
        self.standing = Standing.BUSY if reply == BUSY else Standing.FREE
        if reply == TAKEN:
            self.taken_at = time.monotonic()
        elif reply == IDLE:
            self._on_idle()
        if self._has_more and reply != BUSY:  # one that is busy says when it has room
            self.offer()

    def _lose(self, error: Exception) -> None:
        """Know nothing of a sibling any more; if it is to be asked, do so over a new line.

        Over a new one nothing was heard yet: then it is given up. One that is busy and soon ends
        the new one as well has no room for it: a third one would only displace another sibling's.
        """
        was_busy, was_asked = self.standing is Standing.BUSY, self.standing is Standing.ASKED
        self._disconnect()
        if was_busy:
            now = time.monotonic()
            if now < self._replaced_at + REPLACED_ONCE_IN:
                return  # it looks by itself when it has room, and is asked again after long
            self._replaced_at = now
        self.standing = Standing.UNKNOWN
        if not self._is_new and (was_asked or (was_busy and self._has_more)):
            self.offer()  # it may have closed it just then for its age
        elif was_asked:
            self._fail(error)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._selector.unregister(self._connection)
            self._connection.close()
            self._connection = None
        self._received = b""

    def _fail(self, error: Exception) -> None:
        self.standing, self._has_more = Standing.UNKNOWN, False
        self._failures += 1
        rest = backoff(self._failures, FIRST_REST, LONGEST_REST)
        self._rests_until = time.monotonic() + rest
        journal.debug("No work is offered to %s:%s for %s s: %s", *self.place, rest, error)
