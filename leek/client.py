"""Questions and commands to `leek_server`."""

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from leek.conf import config, protocol_secrets
from leek.connecting import connect
from leek.exceptions import ProtocolError, ServerUnreachable
from leek.protocol import (
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
from leek.stream import DeadlineReader

ASK_TIMEOUT = 5.0  # seconds for a question to be answered, or for a command to be accepted
LASTING = ("stop", "stop-worker")  # commands that take as long as the tasks that run


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
    tasks take; "cancel-<id>" at once. The answer is `WRONG_SECRET` where the server was started
    with none of this site's keys. Raise ServerUnreachable where there is no server, or one that
    does not prove to know the key: it is neither waited for nor believed.
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
    """Return the answer to an accepted command when it is carried out, however long that lasts."""
    if name in LASTING:
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
        with connect(host, port, ASK_TIMEOUT) as connection:
            yield connection, DeadlineReader(connection, ASK_TIMEOUT)
    except (OSError, ProtocolError) as error:
        raise ServerUnreachable(f"No leek_server answers at {host}:{port} ({error}).") from error
