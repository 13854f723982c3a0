"""What is said over one connection."""

import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any

from leek.exceptions import ProtocolError
from leek.protocol import (
    MAX_LINE,
    WRONG_SECRET,
    Reply,
    acceptance,
    encode_reply,
    encode_word,
    read_word,
    task_in,
)
from leek.server import commands
from leek.server.commands import Control
from leek.server.journal import journal

HINT, OFFER = "hint", "offer"
HINT_LINE = encode_word(HINT)
MOST_SLOW = 16  # questions that ask the database at a time


class Conversation:
    """Hints, and a question or an order with its reply.

    Nothing here waits, for the listener has one thread for all connections: what takes longer to
    answer gets a thread of its own. `slots` limits these for questions; those for orders, which
    strangers cannot give, are in `underway` until the order is answered.
    """

    def __init__(
        self,
        connection: socket.socket,
        address: Any,
        control: Control,
        slots: threading.BoundedSemaphore,
        underway: set[threading.Thread],
    ) -> None:
        connection.setblocking(False)
        self.address = address
        self._connection = connection
        self._control = control
        self._slots = slots
        self._underway = underway
        self._received = b""
        self._has_ended = False
        self._order = ""
        self._nonce = ""

    def fileno(self) -> int:
        """Return the number of the connection, for a selector."""
        return self._connection.fileno()

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def receive(self) -> None:
        """Take what has arrived: the rest of a line, or several lines."""
        with suppress(BlockingIOError):  # nothing has arrived after all
            chunk = self._connection.recv(MAX_LINE - len(self._received))
            self._received += chunk
            self._has_ended = not chunk

    @property
    def has_line(self) -> bool:
        """Whether there is a line to be acted on, or what is none and will be none."""
        received = self._received
        return b"\n" in received or len(received) >= MAX_LINE or self._has_ended

    def next_word(self) -> str:
        """Return the word of the next line; hints that follow a hint at once are taken with it."""
        line, end, self._received = self._received.partition(b"\n")
        word = read_word(BytesIO(line + end))
        while word == HINT and self._received.startswith(HINT_LINE):
            self._received = self._received[len(HINT_LINE) :]
        return word

    def is_hint(self, word: str) -> bool:
        """Tell whether a word is a hint: nothing to be done here, and nothing to be answered."""
        return word == HINT and not self._order

    def is_offer(self, word: str) -> bool:
        """Tell whether a word is a sibling's offer."""
        return word == OFFER and not self._order

    def task_awaited(self, word: str) -> int | None:
        """Return the id of the task whose end the client wants to wait for, if it does."""
        return None if self._order else task_in(word, "wait")

    def tell(self, reply: Reply) -> None:
        """Send a line to a client that waits for it; one that is gone will be noticed."""
        with suppress(OSError):
            self.reply(reply)

    def send_at_once(self) -> None:
        """Have a line sent although the client's system has not said that it has the one before."""
        with suppress(OSError):  # some systems refuse where the client has closed already
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def act_on(self, word: str) -> bool:
        """Do or answer what was said, and return whether the client may say more."""
        if self._order:
            self._obey(word)
        elif commands.is_order(word):
            self._challenge(word)
            return True
        elif word in commands.SLOW:
            self._answer_slowly(word)
        else:
            self._end_with(commands.answer(word, self._control))
        return False

    def _challenge(self, order: str) -> None:
        self._order, self._nonce = order, secrets.token_hex(16)
        self.reply(Reply(None, self._nonce))

    def _obey(self, answer: str) -> None:
        """Do what changes something, if the sender knows the site's secret."""
        given, _, nonce = answer.partition("-")
        secret = commands.secret_behind(given, self._order, self._nonce)
        if secret is None:
            self.reply(WRONG_SECRET)
            raise ProtocolError(f"a wrong answer to the challenge of {self._order}")
        self.reply(acceptance(nonce, self._order, secret))
        thread = self._thread(self._carry_out)
        self._underway.add(thread)
        thread.start()

    def _carry_out(self) -> None:
        try:
            self.reply(commands.obey(self._order, self._control))
            if self._order == "stop":
                self._connection.detach()  # it ends with the process: the client's proof
        finally:
            self._underway.discard(threading.current_thread())

    def _answer_slowly(self, question: str) -> None:
        if not self._slots.acquire(blocking=False):
            raise ProtocolError(f"{MOST_SLOW} others ask the database")

        def answer() -> None:
            try:
                self._end_with(commands.answer(question, self._control))
            finally:
                self._slots.release()

        try:
            self._thread(answer).start()
        except BaseException:  # no thread could be started
            self._slots.release()
            raise

    def _thread(self, action: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                action()
            except OSError as error:
                journal.debug("Connection from %s dropped: %s", self.address, error)
            except Exception:  # noqa: BLE001 (it is logged)
                journal.exception("The connection from %s met an error", self.address)
            finally:
                self.close()

        return threading.Thread(target=run, name="leek-conversation", daemon=True)

    def _end_with(self, reply: Reply) -> None:
        self.reply(reply)
        self.close()

    def reply(self, reply: Reply) -> None:
        """Send a line; raise OSError where there is no room, as the ones before it lie unread."""
        self._connection.sendall(encode_reply(reply))
