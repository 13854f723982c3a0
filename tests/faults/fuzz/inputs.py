"""What the fuzz sends: strategies for inputs, and variants of them."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from leek.protocol import MAX_LINE, VERSION, encode_word

VARIANTS = 20  # inputs made of one that Hypothesis has drawn
ENDINGS = ("FIN", "RST", "half-close", "silence")

TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(11, 200))
WORDS = ("hint", "offer", "ping", "waiting", "handled", "stop", "stop-worker")


@dataclass(frozen=True)
class Input:
    """What is sent over one connection, piece by piece, and how the connection is ended."""

    pieces: tuple[bytes, ...]
    ending: str


valid_lines = st.sampled_from(WORDS).map(encode_word)
like_lines = st.builds(
    lambda version, word, end: version + b" " + word + end,
    st.sampled_from([VERSION, b"leek/2", b"leek", b"LEEK/1", b""]),
    st.from_regex(rb"[0-9a-z-]{1,130}", fullmatch=True) | st.binary(max_size=40),
    st.sampled_from([b"\n", b"\r\n", b"\r", b""]),
)
http = st.builds(
    lambda method, path: method + b" /" + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    st.sampled_from([b"GET", b"POST", b"CONNECT"]),
    st.binary(max_size=30),
)
tls = st.binary(max_size=60).map(lambda extra: TLS_HELLO + extra)
nuls = st.integers(1, 2 * MAX_LINE).map(lambda length: b"\x00" * length)
huge = st.builds(
    lambda pattern, length: (pattern * length)[:length],
    st.binary(min_size=1, max_size=20),
    st.integers(MAX_LINE - 2, 64 * 1024),
)
texts = st.one_of(
    valid_lines, like_lines, like_lines, http, tls, nuls, st.binary(max_size=600), huge
)
inputs = st.builds(
    lambda pieces, ending: Input(tuple(pieces), ending),
    st.lists(texts, min_size=1, max_size=3),
    st.sampled_from(ENDINGS),
)


def variants(original: Input, chance: random.Random) -> Iterator[Input]:
    """Yield an input as it was drawn, and then altered in one place, cut, or sent in pieces."""
    yield original
    for _ in range(VARIANTS - 1):
        whole = chance.choice(ALTERATIONS)(b"".join(original.pieces), chance)
        where = chance.randrange(len(whole) + 1)
        pieces = (whole,) if chance.random() < 0.5 else (whole[:where], whole[where:])
        yield replace(original, pieces=pieces, ending=chance.choice(ENDINGS))


def _flip(text: bytes, chance: random.Random) -> bytes:
    altered = bytearray(text or b"\x00")
    altered[chance.randrange(len(altered))] ^= 1 << chance.randrange(8)
    return bytes(altered)


def _insert(text: bytes, chance: random.Random) -> bytes:
    where = chance.randrange(len(text) + 1)
    return text[:where] + chance.randbytes(chance.randrange(1, 9)) + text[where:]


def _cut(text: bytes, chance: random.Random) -> bytes:
    return text[: chance.randrange(len(text) + 1)]


def _remove(text: bytes, chance: random.Random) -> bytes:
    where = chance.randrange(len(text) + 1)
    return text[:where] + text[where + chance.randrange(1, 9) :]


def _repeat(text: bytes, chance: random.Random) -> bytes:
    return text * chance.randrange(2, 4)


def _keep(text: bytes, chance: random.Random) -> bytes:
    return text


ALTERATIONS: list[Callable[[bytes, random.Random], bytes]] = [
    _flip,
    _insert,
    _cut,
    _remove,
    _repeat,
    _keep,
]
