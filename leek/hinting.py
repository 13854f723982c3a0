"""Hints: a push tells `leek_server` that there is work, over a connection that it keeps."""

import atexit
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from leek.conf import config
from leek.connecting import connect
from leek.protocol import encode_word
from leek.retry import backoff

LONGEST_REST = 1.0  # seconds after its last hint for which a line is used; the server waits longer
LONGEST_USE = 60.0  # seconds after which a line is replaced: the name may lead elsewhere by now
REFUSED_PAUSE = 1.0  # seconds without hints after a refusal
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # the same after a time-out, doubling

_HINT = encode_word("hint")

logger = logging.getLogger("leek")


class HintLine:
    """A connection to the server that hints are sent over, as long as the server keeps it."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self.place = host, port
        self._connection = connect(host, port, timeout)
        self._connection.setblocking(False)
        with suppress(OSError):  # some systems refuse where the server has closed already
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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


class Hinter:
    """Sends hints, and falls silent for a while where nobody answers.

    A hint may be lost at the cost of some latency, so it never raises, and waits at most
    HINT_TIMEOUT; then the pushes of this process go without until the pause is over. Where no
    `host` and `port` are given, the settings name them. All threads share one line.
    """

    def __init__(self, host: str | None = None, port: int | None = None) -> None:
        self._host = host
        self._port = port
        self._lock = threading.Lock()
        self._line: HintLine | None = None
        self._silent_until = 0.0
        self._time_outs = 0
        self._failing = False

    def hint(self) -> None:
        """Tell the server that there is work."""
        if (now := time.monotonic()) < self._silent_until:
            return
        patience = config.HINT_TIMEOUT
        # One thread is enough to look again where nobody answered.
        if self._lock.acquire(timeout=0 if self._failing else patience):
            try:
                if time.monotonic() >= self._silent_until:
                    self._try(now + patience)
            finally:
                self._lock.release()

    def connect(self, patience: float) -> socket.socket | None:
        """Return a connection to the server for other words than hints; None if nobody answers.

        It waits at most `patience` seconds, and where that is enough for a hint, a server that does
        not answer is left alone for a while, by hints as well.
        """
        if (now := time.monotonic()) < self._silent_until:
            return None
        if not self._lock.acquire(timeout=0 if self._failing else patience):
            return None
        try:
            if time.monotonic() < self._silent_until:
                return None
            return self._connect(now + patience, counts=patience >= config.HINT_TIMEOUT)
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the connection; the next hint opens another."""
        with self._lock:
            self._drop_line()

    def in_forked_process(self) -> "Hinter":
        """Return what stands for this one after a fork: the line belongs to the other process."""
        self._drop_line()  # without the lock, which a thread may hold that is not here
        return Hinter(self._host, self._port)

    @property
    def _place(self) -> tuple[str, int]:
        host = config.TASKS_HOST if self._host is None else self._host
        port = config.TASKS_PORT if self._port is None else self._port
        return host, port

    def _connect(self, deadline: float, *, counts: bool) -> socket.socket | None:
        host, port = self._place
        try:
            connection = connect(host, port, max(deadline - time.monotonic(), 0.001))
        except OSError as error:
            if counts or not isinstance(error, TimeoutError):
                self._fail(host, port, error)
            return None
        self._answers()
        return connection

    def _answers(self) -> None:
        """Note that the server is there."""
        self._time_outs = 0
        self._failing = False

    def _try(self, deadline: float) -> None:
        host, port = self._place
        if self._hint_again(host, port):
            return
        try:
            self._line = HintLine(host, port, deadline - time.monotonic())
            self._line.hint()
        except OSError as error:
            self._drop_line()
            self._fail(host, port, error)
        else:
            self._answers()

    def _hint_again(self, host: str, port: int) -> bool:
        """Use the line that is there, or else close it; return whether it could be used."""
        if self._line is None:
            return False
        if self._line.place == (host, port) and self._line.is_open():
            with suppress(OSError):
                self._line.hint()
                return True
        self._drop_line()
        return False

    def _drop_line(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _fail(self, host: str, port: int, error: OSError) -> None:
        timed_out = isinstance(error, TimeoutError)
        self._time_outs = self._time_outs + 1 if timed_out else 0
        pause = backoff(self._time_outs, FIRST_PAUSE, LONGEST_PAUSE) if timed_out else REFUSED_PAUSE
        self._silent_until = time.monotonic() + pause
        if not self._failing:
            self._failing = True
            logger.warning(
                "No leek_server is listening at %s:%s (%s). Tasks are stored, and run as soon as"
                " one is started: manage.py leek_server",
                host,
                port,
                error,
            )


hinter = Hinter()


def hint() -> None:
    """Tell the server that there is work; never raise, never wait for long."""
    hinter.hint()


def connect_for_a_while(patience: float) -> socket.socket | None:
    """Return a connection to the server that gets the hints; None where nobody answers."""
    return hinter.connect(patience)


@contextmanager
def hints_to(host: str, port: int) -> Iterator[None]:
    """Send all hints of this process to one server, whatever the settings say."""
    global hinter
    former, hinter = hinter, Hinter(host, port)
    former.close()
    try:
        yield
    finally:
        hinter.close()
        hinter = former


def _begin_anew() -> None:
    global hinter
    hinter = hinter.in_forked_process()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
atexit.register(lambda: hinter.close())
