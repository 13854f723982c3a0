"""The wire format: lines over TCP, in one home for both ends.

A hint wants no reply. Its connection may be kept for the next hints: the server closes it when none
has come for two seconds::

    client: leek/1 hint
    client: leek/1 hint

A question gets a reply, with which the server closes the connection::

    client: leek/1 ping
    server: leek/1 [true, "I'm OK"]

Who wants to know when a task is finished is answered twice: at once, and when the server has stored
how the task ended, if it is the one that runs it. Between the two the client looks at the row, so
that it misses nothing. The server closes after the second reply, and sooner where nobody hears of
the task for a minute; then the client may ask anew::

    client: leek/1 wait-4711
    server: leek/1 [null, "waiting"]
    server: leek/1 [true, "finished"]

A server that cannot start what there is offers it to another one, and keeps the connection. Who has
room looks for work. Who has none notes that there is some, looks when it has room, and says so when
it has found no more; until then nobody need offer it anything. The server closes a minute after the
last offer. An offer can do no more than a hint, and needs no secret either::

    server A: leek/1 offer
    server B: leek/1 [true, "taken"]
    server A: leek/1 offer
    server B: leek/1 [null, "busy"]
    server B: leek/1 [true, "idle"]

A command that changes something is challenged, and the answer proves that the client knows the
site's secret without showing it. The client challenges the server in turn, so that it need not wait
for a stranger, nor believe one. The first reply to the answer proves that the command is accepted,
the second comes when it is carried out::

    client: leek/1 stop
    server: leek/1 [null, "<nonce>"]
    client: leek/1 <HMAC-SHA256 of command and nonce, in hex>-<another nonce>
    server: leek/1 [null, "<the same of "accepted", command and the client's nonce, cut>"]
    server: leek/1 [true, "Worker Off"]

An answer is good for one nonce, so for one connection, and for one command. It does not name the
server, whose address may look different from the client's end: who gets a client to connect to him
can pass the challenge of another server with the same secret on to it, and the answer back. That
server then does what the client has ordered.

So is a task cancelled that a server has claimed, by the command `cancel-<id>`. The second reply
comes at once, and tells whether it will be::

    server: leek/1 [true, "cancelled"]

A line is ASCII, ends in a line feed and is at most `MAX_LINE` bytes long. Nothing on the wire is
ever run or unpickled.
"""

import hashlib
import hmac
import json
import re
from typing import BinaryIO, NamedTuple

from leek.exceptions import ProtocolError

VERSION = b"leek/1"
MAX_LINE = 512
MAX_TEXT = 40  # characters; each may need twelve bytes in JSON
LOCALHOST = ("127.0.0.1", "::1")

_WORD = re.compile(rb"[0-9a-z-]{1,128}")
_NONCE = re.compile(r"[0-9a-f]{32}")
_ABOUT_TASK = re.compile(r"([a-z]+)-([0-9]{1,19})")


class Reply(NamedTuple):
    """What a server answers: whether all is well, and a value (`ok` None: there is more to say)."""

    ok: bool | None
    value: str | int


WRONG_SECRET = Reply(False, "wrong secret")
WAITING, FINISHED = Reply(None, "waiting"), Reply(True, "finished")
TAKEN, BUSY, IDLE = Reply(True, "taken"), Reply(None, "busy"), Reply(True, "idle")


class LineTooLong(ProtocolError):
    """The line does not end within `MAX_LINE` bytes."""


class LineCutShort(ProtocolError):
    """The other end closed before a line ended."""


class NotLeek(ProtocolError):
    """The line is not of this protocol and version."""


def encode_word(word: str) -> bytes:
    """Return the line of a request or of an answer to a challenge."""
    return b"%s %s\n" % (VERSION, word.encode("ascii"))


def read_word(stream: BinaryIO) -> str:
    """Return the word of the next line: a request, or an answer to a challenge."""
    word = _read_body(stream)
    if not _WORD.fullmatch(word):
        raise NotLeek("not a command")
    return word.decode("ascii")


def about_task(verb: str, task_id: int) -> str:
    """Return the word of a request that is about a task."""
    return f"{verb}-{task_id}"


def task_in(word: str, verb: str) -> int | None:
    """Return the id of the task that a request with this verb is about; None for any other."""
    found = _ABOUT_TASK.fullmatch(word)
    return int(found[2]) if found and found[1] == verb else None


def encode_reply(reply: Reply) -> bytes:
    """Return the line of a reply; a text too long for a line is cut."""
    value = reply.value[:MAX_TEXT] if isinstance(reply.value, str) else reply.value
    return b"%s %s\n" % (VERSION, json.dumps([reply.ok, value]).encode("ascii"))


def read_reply(stream: BinaryIO) -> Reply:
    """Return the reply in the next line."""
    try:
        match json.loads(_read_body(stream)):
            case [bool() | None as ok, str() | int() as value] if type(value) is not bool:
                return Reply(ok, value)
    except (ValueError, RecursionError):
        pass
    raise NotLeek("not a reply")


def read_nonce(stream: BinaryIO) -> str:
    """Return the nonce of the challenge in the next line."""
    match read_reply(stream):
        case Reply(None, str() as nonce) if _NONCE.fullmatch(nonce):
            return nonce
    raise NotLeek("not a challenge")


def answer_to(nonce: str, command: str, secret: bytes) -> str:
    """Return the answer to a challenge: an HMAC (RFC 2104) over command and nonce, in hex."""
    return hmac.new(secret, f"{command} {nonce}".encode(), hashlib.sha256).hexdigest()


def acceptance(nonce: str, command: str, secret: bytes) -> Reply:
    """Return the reply that proves to the client that its command was accepted."""
    return Reply(None, answer_to(nonce, f"accepted {command}", secret)[:MAX_TEXT])


def answers_match(given: str, expected: str) -> bool:
    """Compare two answers in constant time."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _read_body(stream: BinaryIO) -> bytes:
    line = stream.readline(MAX_LINE)
    if not line.endswith(b"\n"):
        if len(line) >= MAX_LINE:
            raise LineTooLong(f"the line is longer than {MAX_LINE} bytes")
        raise LineCutShort("the connection was closed before a line ended")
    version, _, body = line.rstrip(b"\r\n").partition(b" ")
    if version != VERSION:
        raise NotLeek("not leek's protocol, or another version of it")
    return body
