"""The socket server: accepts, hears line by line, has questions answered."""

import errno
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ, DefaultSelector

from leek.exceptions import LeekError, ProtocolError
from leek.outcome import Outcome
from leek.server.addresses import addresses_of, listening_socket
from leek.server.audience import Audience
from leek.server.commands import Control
from leek.server.conversation import MOST_SLOW, Conversation
from leek.server.journal import journal
from leek.server.offers import MOST_OFFERING, Offers

READ_TIMEOUT = 2.0  # seconds for a client to send its line, or its next hint
MOST_SILENT = 256  # connections whose line is awaited
MOST_KEPT = 256  # connections that have hinted, and may do so again
ACCEPTED_AT_ONCE = 32  # connections, before those that are there are heard
REST = 0.1  # seconds without accepting, where the system has no room for connections


Awaited = dict[Conversation, float]  # with the deadline of the line, the nearest one first


class PortInUse(LeekError):
    """Somebody else listens at this address."""


class Listener:
    """Holds the listening sockets of all addresses of a host, and hears who connects.

    They are the lock of the host: who binds the port knows that its predecessor is dead.

    One thread serves all connections. There is always room for a new one: where too many have not
    sent their line, the oldest of them has to go. So who sends its line at once is heard, however
    many others are silent, or slow. Those that have hinted have room of their own, because pushers
    keep them for their next hints, and so have those that wait for the end of a task.
    """

    def __init__(self, host: str, port: int, control: Control) -> None:
        addresses = addresses_of(host)
        self.host = host
        self.address, self.port = addresses[0], port  # the first address that is bound
        self._control = control
        self._slots = threading.BoundedSemaphore(MOST_SLOW)
        self._underway: set[threading.Thread] = set()  # those that carry out an order
        self._silent: Awaited = {}
        self._kept: Awaited = {}
        self._audience = Audience(self._wake)
        self._offers = Offers(control, self._wake)
        self._is_short_of_room = False
        self._stopping = threading.Event()
        self._selector = DefaultSelector()
        self._alarm, self._alarmed = socket.socketpair()
        for end in (self._alarm, self._alarmed):
            end.setblocking(False)
        self._selector.register(self._alarmed, EVENT_READ, self._tell)
        self._thread = threading.Thread(target=self._run, name="leek-listener", daemon=True)
        self._sockets: list[socket.socket] = []
        for address in addresses:
            self._bind(address)

    def _bind(self, address: str) -> None:
        try:
            listening = listening_socket(address, self.port)
        except OSError as error:
            if self._sockets and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                return  # this machine has no ::1
            self.stop()
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(f"port {self.port} of {address} is in use") from error
            raise
        self.port = int(listening.getsockname()[1])
        self._sockets.append(listening)
        self._selector.register(listening, EVENT_READ, partial(self._accept, listening))

    def start(self) -> None:
        """Accept connections."""
        self._thread.start()

    def stop(self) -> None:
        """Accept no more connections, give the port free, and let orders be answered."""
        self._stopping.set()
        self._alarm.close()  # which wakes the thread
        if self._thread.ident is not None:
            self._thread.join()
        for thread in tuple(self._underway):
            if thread.ident is not None:
                thread.join(READ_TIMEOUT)
        open_ones: list[Conversation | socket.socket] = [*self._sockets, self._alarmed]
        open_ones.extend(conversation for each in self._awaited for conversation in each)
        for connection in open_ones:
            connection.close()
        self._selector.close()

    def stored(self, outcomes: Sequence[Outcome]) -> None:
        """Have those told who wait for the end of these tasks."""
        self._audience.stored(outcomes)

    def found_no_more(self) -> None:
        """Have those siblings told that were sent away: there is room now."""
        self._offers.found_no_more()

    def _wake(self) -> None:
        with suppress(OSError):  # full: it wakes up anyway; closed: nobody waits any more
            self._alarm.send(b"\0")

    @property
    def _awaited(self) -> tuple[Awaited, ...]:
        """The connections of which something is awaited, in the order in which they have to go."""
        return self._silent, self._audience.deadlines, self._offers.deadlines, self._kept

    # What the thread does

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.run_once()
            except Exception:  # noqa: BLE001 (it is logged)
                journal.exception("leek's listener met an error and goes on")
                self._stopping.wait(REST)

    def run_once(self) -> None:
        """Wait for something to arrive, and for deadlines; act on what there is."""
        for key, _ in self._selector.select(self._seconds_left()):
            react: Callable[[], None] = key.data
            react()
        for awaited in self._awaited:
            self._end_late(awaited)

    def _seconds_left(self) -> float | None:
        """Return the time until the nearest deadline."""
        deadlines = [each[_oldest(each)] for each in self._awaited if each]
        return max(min(deadlines) - time.monotonic(), 0) if deadlines else None

    def _end_late(self, awaited: Awaited) -> None:
        now = time.monotonic()
        while awaited and awaited[late := _oldest(awaited)] <= now:
            self._hear(late)  # what may have come while this turn of the loop was on
            if awaited.get(late, now + 1) <= now:
                self._drop(late, "the line did not come in time")

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                self._make_room(error)
                return
            self._is_short_of_room = False
            if len(self._silent) >= MOST_SILENT:
                self._drop(_oldest(self._silent), "others came")
            self._await_line(
                Conversation(connection, address, self._control, self._slots, self._underway)
            )

    def _make_room(self, error: OSError) -> None:
        """Give up a connection for the one that waits, or rest: open files may be used up."""
        if awaited := next(filter(None, self._awaited), None):
            self._drop(_oldest(awaited), error)
            if awaited is self._kept:
                self._control.hint()  # it may be hinting just now
            return
        if not self._is_short_of_room:
            self._is_short_of_room = True
            journal.warning("Connections cannot be accepted: %s. Hints are lost until then.", error)
        self._stopping.wait(REST)

    def _await_line(self, conversation: Conversation) -> None:
        self._selector.register(conversation, EVENT_READ, partial(self._hear, conversation))
        self._silent[conversation] = time.monotonic() + READ_TIMEOUT

    def _hear(self, conversation: Conversation) -> None:
        """Act on lines; anything else costs the sender its connection."""
        if not any(conversation in each for each in self._awaited):
            return  # it had to go while this turn of the loop was on
        try:
            conversation.receive()
            while conversation.has_line:
                if not self._act_on(conversation, conversation.next_word()):
                    return
        except (OSError, ProtocolError) as error:
            self._drop(conversation, error)
        except Exception:  # noqa: BLE001 (it is logged)
            journal.exception("The connection from %s met an error", conversation.address)
            self._drop(conversation, "it met an error")

    def _act_on(self, conversation: Conversation, word: str) -> bool:
        """Do or answer what was said, and return whether the client may say more."""
        if conversation in self._audience.deadlines:
            raise ProtocolError("it was to wait")
        if conversation.is_hint(word):
            self._keep(conversation)
            self._control.hint()
            return True
        if conversation.is_offer(word):
            self._hear_offer(conversation)
            return True
        self._forget(conversation)
        if (task_id := conversation.task_awaited(word)) is not None:
            self._audience.enter(conversation, task_id)
            self._selector.register(conversation, EVENT_READ, partial(self._hear, conversation))
            return True
        if goes_on := conversation.act_on(word):
            self._await_line(conversation)
        return goes_on

    def _keep(self, conversation: Conversation) -> None:
        """Await the next hint, and where too many are awaited, no more from who was quiet longest.

        If that one is hinting just now, the hint that leads here is heard for it as well.
        """
        self._await_no_line(conversation)
        self._kept[conversation] = time.monotonic() + READ_TIMEOUT
        if len(self._kept) > MOST_KEPT:
            self._drop(_oldest(self._kept), "others came")

    def _hear_offer(self, conversation: Conversation) -> None:
        """Answer an offer, and await the next, of too many no more from who was quiet longest."""
        self._await_no_line(conversation)
        self._offers.hear(conversation)
        if len(self._offers.deadlines) > MOST_OFFERING:
            self._drop(_oldest(self._offers.deadlines), "others came")

    def _await_no_line(self, conversation: Conversation) -> bool:
        """Forget a connection's deadline; return whether it had one."""
        deadlines = [each.pop(conversation, None) for each in self._awaited]
        return any(deadlines)

    def _forget(self, conversation: Conversation) -> None:
        if self._await_no_line(conversation):
            self._selector.unregister(conversation)
        self._audience.leave(conversation)
        self._offers.leave(conversation)

    def _tell(self) -> None:
        with suppress(BlockingIOError):
            self._alarmed.recv(4096)
        self._offers.tell()
        for conversation in self._audience.tell():
            self._drop(conversation, "it was told")

    def _drop(self, conversation: Conversation, reason: object) -> None:
        self._forget(conversation)
        conversation.close()
        journal.debug("Connection from %s dropped: %s", conversation.address, reason)


def _oldest(awaited: Awaited) -> Conversation:
    return next(iter(awaited))
