"""Questions and commands to `leek_server`."""

import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from leek.conf import places, protocol_secrets
from leek.connecting import connect, in_turn
from leek.exceptions import ProtocolError, ServerUnreachable
from leek.links import give_up_when_dead
from leek.places import Place
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
LONGEST_SILENCE = 20.0  # seconds after which a host that is gone without a word is not waited for
LASTING = ("stop", "stop-worker")  # commands that take as long as the tasks that run

_FAILURES = (OSError, ProtocolError)  # of a conversation


class Answer(NamedTuple):
    """What a server answers, and where."""

    place: Place
    reply: Reply


def ask(question: str, *, host: str | None = None, port: int | None = None) -> Reply:
    """Return the answer to "ping", "waiting" or "handled" of the server there.

    Where the settings name several places, it is the first that answers. Raise ServerUnreachable,
    naming all that were tried, where there is none.
    """
    return ask_in_turn(question, places(host, port)).reply


def ask_in_turn(question: str, at: Sequence[Place], patience: float | None = None) -> Answer:
    """Return the first answer that one of these places gives, within so many seconds in all.

    None for ASK_TIMEOUT.
    """
    problems = []
    deadline = time.monotonic() + (ASK_TIMEOUT if patience is None else patience)
    for place, seconds in in_turn(at, deadline):
        try:
            return Answer(place, _ask(question, place, seconds))
        except _FAILURES as error:
            problems.append(f"{place} ({error})")
    raise ServerUnreachable(f"No leek_server answers at {', '.join(problems)}.")


def _ask(question: str, place: Place, seconds: float) -> Reply:
    with _conversation(place, seconds) as (connection, lines):
        connection.sendall(encode_word(question))
        reply = read_reply(lines)
        if reply.ok is None:
            raise NotLeek("not an answer")
        return reply


def command(name: str, *, host: str | None = None, port: int | None = None) -> Reply:
    """Have the server do what changes something, and return its answer when it is done.

    Where the settings name several places, it is the server at the first that answers.
    "stop-worker" is done when the Worker is off, "stop" when the server is gone, however long its
    tasks take; "cancel-<id>" at once. The answer is `WRONG_SECRET` where the server was started
    with none of this site's keys. Raise ServerUnreachable where there is no server, or one that
    does not prove to know the key: it is neither waited for nor believed.
    """
    at = places(host, port)
    place = at[0] if len(at) == 1 else ask_in_turn("ping", at).place
    reply = WRONG_SECRET
    try:
        for secret in protocol_secrets():
            if (reply := _command(name, secret, place)) != WRONG_SECRET:
                break
    except _FAILURES as error:
        raise ServerUnreachable(f"No leek_server answers at {place} ({error}).") from error
    return reply


def _command(name: str, secret: bytes, place: Place) -> Reply:
    with _conversation(place, ASK_TIMEOUT) as (connection, lines):
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
        give_up_when_dead(connection, LONGEST_SILENCE)
        lines.lift_deadline()
    reply = read_reply(lines)
    if name == "stop" and reply.ok:
        with suppress(ConnectionError):
            lines.read(1)  # ends with the server's process
    return reply


@contextmanager
def _conversation(place: Place, seconds: float) -> Iterator[tuple[socket.socket, DeadlineReader]]:
    """Connect, and yield the connection with what it receives within so many seconds in all."""
    deadline = time.monotonic() + seconds
    with connect(place.host, place.port, seconds) as connection:
        yield connection, DeadlineReader(connection, deadline - time.monotonic())
