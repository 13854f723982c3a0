"""The pusher's end of the socket: hints, questions and commands to `leek_server`."""

import logging
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from leek.conf import config, protocol_secrets
from leek.exceptions import ProtocolError, ServerUnreachable
from leek.protocol import (
    LOCALHOST,
    WRONG_SECRET,
    NotLeek,
    Reply,
    acceptance,
    answer_to,
    answers_match,
    encode_word,
    read_nonce,
    read_reply,
)
from leek.retry import backoff
from leek.stream import DeadlineReader

ASK_TIMEOUT = 5.0  # seconds for a question to be answered, or for a command to be accepted
REFUSED_PAUSE = 1.0  # seconds without hints after a refusal
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # the same after a time-out, doubling
ADDRESS_LIFETIME = 60.0  # seconds for which a resolved name is believed

logger = logging.getLogger("leek")


class Hinter:
    """Sends hints, and falls silent for a while where nobody answers.

    A hint may be lost at the cost of some latency, so it never raises, and waits at most
    HINT_TIMEOUT; then the pushes of this process go without until the pause is over. Where no
    `host` and `port` are given, the settings name them.
    """

    def __init__(self, host: str | None = None, port: int | None = None) -> None:
        self._host = host
        self._port = port
        self._lock = threading.Lock()
        self._silent_until = 0.0
        self._time_outs = 0
        self._failing = False

    def hint(self) -> None:
        """Tell the server that there is work."""
        if time.monotonic() < self._silent_until:
            return
        if not self._failing:
            self._try()
        elif self._lock.acquire(blocking=False):  # one thread is enough to look again
            try:
                self._try()
            finally:
                self._lock.release()

    def _try(self) -> None:
        host = config.TASKS_HOST if self._host is None else self._host
        port = config.TASKS_PORT if self._port is None else self._port
        known = self._silent_until
        try:
            with _connect(host, port, config.HINT_TIMEOUT) as connection:
                connection.sendall(encode_word("hint"))
        except OSError as error:
            if self._silent_until == known:  # or else a thread beside this one has noted it
                self._fail(host, port, error)
        else:
            self._time_outs = 0
            self._failing = False

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


@contextmanager
def hints_to(host: str, port: int) -> Iterator[None]:
    """Send all hints of this process to one server, whatever the settings say."""
    global hinter
    former, hinter = hinter, Hinter(host, port)
    try:
        yield
    finally:
        hinter = former


def ask(question: str, *, host: str | None = None, port: int | None = None) -> Reply:
    """Return the server's answer to "ping", "waiting" or "handled".

    Raise ServerUnreachable, naming host and port, where there is none.
    """
    with _conversation(host, port) as (connection, lines):
        connection.sendall(encode_word(question))
        reply = read_reply(lines)
        if reply.ok is None:
            raise NotLeek("not an answer")
        return reply


def command(name: str, *, host: str | None = None, port: int | None = None) -> Reply:
    """Have the server do what changes something, and return its answer when it is done.

    "stop-worker" is done when the Worker is off, "stop" when the server is gone, however long its
    tasks take. The answer is `WRONG_SECRET` where the server was started with none of this site's
    keys. Raise ServerUnreachable where there is no server, or one that does not prove to know the
    key: it is neither waited for nor believed.
    """
    reply = WRONG_SECRET
    for secret in protocol_secrets():
        if (reply := _command(name, secret, host, port)) != WRONG_SECRET:
            break
    return reply


def _command(name: str, secret: bytes, host: str | None, port: int | None) -> Reply:
    with _conversation(host, port) as (connection, lines):
        connection.sendall(encode_word(name))
        answer, nonce = answer_to(read_nonce(lines), name, secret), secrets.token_hex(16)
        connection.sendall(encode_word(f"{answer}-{nonce}"))
        reply = read_reply(lines)
        if reply == WRONG_SECRET:
            return reply
        _check_acceptance(reply, acceptance(nonce, name, secret))
        return _outcome(name, connection, lines)


def _check_acceptance(given: Reply, expected: Reply) -> None:
    if given.ok is not None or not answers_match(str(given.value), str(expected.value)):
        raise NotLeek("it does not know this site's SECRET_KEY")


def _outcome(name: str, connection: socket.socket, lines: DeadlineReader) -> Reply:
    """Return the answer to an accepted command when it is carried out, however long that takes."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    lines.lift_deadline()
    reply = read_reply(lines)
    if name == "stop" and reply.ok:
        with suppress(ConnectionError):
            lines.read(1)  # ends with the server's process
    return reply


@contextmanager
def _conversation(
    host: str | None, port: int | None
) -> Iterator[tuple[socket.socket, DeadlineReader]]:
    """Connect, and yield the connection with what it receives within ASK_TIMEOUT."""
    host = config.TASKS_HOST if host is None else host
    port = config.TASKS_PORT if port is None else port
    try:
        with _connect(host, port, ASK_TIMEOUT) as connection:
            yield connection, DeadlineReader(connection, ASK_TIMEOUT)
    except (OSError, ProtocolError) as error:
        raise ServerUnreachable(f"No leek_server answers at {host}:{port} ({error}).") from error


def _connect(host: str, port: int, timeout: float) -> socket.socket:
    """Connect to the first address of a host that accepts, within `timeout` seconds in all."""
    deadline = time.monotonic() + timeout
    refusals: list[OSError] = []
    for address in _addresses(host, timeout):
        try:
            left = max(deadline - time.monotonic(), 0.001)
            return socket.create_connection((address, port), left)
        except OSError as error:
            refusals.append(error)
    # A time-out weighs more, because the next try would cost as much.
    raise max(refusals, key=lambda refusal: isinstance(refusal, TimeoutError))


_resolved: dict[str, tuple[float, list[str]]] = {}


def _addresses(host: str, timeout: float) -> tuple[str, ...] | list[str]:
    """Return the addresses of a host; a name server costs at most `timeout` seconds."""
    if host == "localhost":
        return LOCALHOST
    expires, addresses = _resolved.get(host, (0.0, []))
    if time.monotonic() >= expires:
        addresses = _resolve(host, timeout)
        _resolved[host] = (time.monotonic() + ADDRESS_LIFETIME, addresses)
    return addresses


def _resolve(host: str, timeout: float) -> list[str]:
    """Ask the name server from a thread, because the question cannot be given a time limit."""
    answers: list[list[str] | OSError] = []

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            answers.append(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except OSError as error:
            answers.append(error)
        except ValueError as error:  # no name at all: too long, or with a NUL
            answers.append(OSError(str(error)))

    thread = threading.Thread(target=look_up, name="leek-resolver", daemon=True)
    thread.start()
    thread.join(timeout)
    if not answers:
        raise TimeoutError(f"the name {host} was not resolved in {timeout} s")
    if isinstance(answers[0], OSError):
        raise answers[0]
    return answers[0]
