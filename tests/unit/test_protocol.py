"""The wire format, from any stream."""

import hashlib
import hmac
import json
from io import BytesIO

import pytest

from leek.exceptions import ProtocolError
from leek.protocol import (
    MAX_LINE,
    MAX_TEXT,
    LineCutShort,
    LineTooLong,
    NotLeek,
    Reply,
    about_task,
    acceptance,
    answer_to,
    answers_match,
    encode_reply,
    encode_word,
    read_nonce,
    read_reply,
    read_word,
    task_in,
)

TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(11, 200))
TLS_HELLO_WITHOUT_LINE_FEED = TLS_HELLO.replace(b"\n", b"")


def word_in(line: bytes) -> str:
    return read_word(BytesIO(line))


def reply_in(line: bytes) -> Reply:
    return read_reply(BytesIO(line))


# Requests


@pytest.mark.parametrize("word", ["hint", "ping", "stop-worker", "0f" * 32, "x" * 128])
def test_a_word_comes_back(word: str) -> None:
    assert word_in(encode_word(word)) == word


def test_a_request_about_a_task_comes_back() -> None:
    word = word_in(encode_word(about_task("cancel", 4711)))
    assert word == "cancel-4711"
    assert task_in(word, "cancel") == 4711
    assert task_in(word, "wait") is None


@pytest.mark.parametrize(
    "word", ["cancel", "cancel-", "cancel-x", "cancel--1", "cancel-1-2", "cancel-" + "1" * 20, "1"]
)
def test_only_digits_name_a_task(word: str) -> None:
    assert task_in(word, "cancel") is None


def test_a_request_looks_as_documented() -> None:
    assert encode_word("hint") == b"leek/1 hint\n"


def test_a_line_may_end_as_telnet_ends_it() -> None:
    assert word_in(b"leek/1 ping\r\n") == "ping"


def test_only_the_first_line_is_read() -> None:
    stream = BytesIO(b"leek/1 stop\nleek/1 ping\n")
    assert [read_word(stream), read_word(stream)] == ["stop", "ping"]


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"HEAD /leek/1 HTTP/1.0\r\n\r\n",
        b"EHLO example.org\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b'{"command": "ping"}\n',
        b"ping\n",
        b"\n",
        b"\r\n",
        b" leek/1 ping\n",
        b"\x00leek/1 ping\n",
        b"\xef\xbb\xbfleek/1 ping\n",
    ],
)
def test_another_protocol_is_refused(line: bytes) -> None:
    with pytest.raises(NotLeek):
        word_in(line)


@pytest.mark.parametrize(
    "line", [b"leek/2 ping\n", b"leek/10 ping\n", b"leek/ ping\n", b"leek ping\n", b"LEEK/1 ping\n"]
)
def test_another_version_is_refused(line: bytes) -> None:
    with pytest.raises(NotLeek, match="version"):
        word_in(line)


def test_a_tls_hello_is_refused() -> None:
    with pytest.raises(ProtocolError):
        word_in(TLS_HELLO)


def test_a_tls_hello_without_a_line_feed_is_refused() -> None:
    with pytest.raises(LineCutShort):
        word_in(TLS_HELLO_WITHOUT_LINE_FEED)


@pytest.mark.parametrize("line", [b"\x00" * 100 + b"\n", b"leek/1 \x00\n", b"leek/1 pi\x00ng\n"])
def test_nul_bytes_are_refused(line: bytes) -> None:
    with pytest.raises(NotLeek):
        word_in(line)


@pytest.mark.parametrize(
    "line", ["leek/1 pïng\n".encode(), b"leek/1 \xff\xfe\n", "leek/1 ping\n".encode("utf-16")]
)
def test_what_is_not_ascii_is_refused(line: bytes) -> None:
    with pytest.raises(NotLeek):
        word_in(line)


@pytest.mark.parametrize(
    "body", [b"", b" ", b" ping", b"ping pong", b"PING", b"a.b", b"../x", b"a\tb", b"x" * 129]
)
def test_what_is_no_word_is_refused(body: bytes) -> None:
    with pytest.raises(NotLeek, match="not a command"):
        word_in(b"leek/1 " + body + b"\n")


def test_a_line_without_a_word_is_refused() -> None:
    with pytest.raises(NotLeek, match="not a command"):
        word_in(b"leek/1\n")


@pytest.mark.parametrize("line", [b"", b"l", b"leek/1 pin", b"leek/1 ping", b"leek/1 ping\r"])
def test_half_a_line_is_refused(line: bytes) -> None:
    with pytest.raises(LineCutShort):
        word_in(line)


@pytest.mark.parametrize("length", [MAX_LINE, MAX_LINE + 1, 100_000])
def test_an_over_long_line_is_refused(length: int) -> None:
    with pytest.raises(LineTooLong):
        word_in(b"leek/1 ".ljust(length, b"x") + b"\n")


def test_no_more_than_a_line_is_read_of_an_endless_one() -> None:
    stream = BytesIO(b"x" * 1_000_000)
    with pytest.raises(LineTooLong):
        read_word(stream)
    assert stream.tell() <= MAX_LINE


def test_the_error_shows_only_the_beginning_of_an_over_long_line() -> None:
    with pytest.raises(LineTooLong) as caught:
        word_in(b"x" * 10_000)
    assert len(str(caught.value)) < 100


def test_a_line_of_the_full_length_is_read() -> None:
    line = b'leek/1 [true, "' + b"x" * 40 + b'"]'
    assert reply_in(line.ljust(MAX_LINE - 1) + b"\n") == (True, "x" * 40)


# Replies


@pytest.mark.parametrize(
    "reply",
    [
        Reply(True, "I'm OK"),
        Reply(False, "Worker Off"),
        Reply(True, 115),
        Reply(True, 0),
        Reply(True, 2**63),
        Reply(None, "0f" * 20),
        Reply(True, ""),
        Reply(True, "naïve 😀 \x00 \n \ud800"),
    ],
)
def test_a_reply_comes_back(reply: Reply) -> None:
    assert reply_in(encode_reply(reply)) == reply


def test_a_reply_looks_as_documented() -> None:
    assert encode_reply(Reply(True, "I'm OK")) == b'leek/1 [true, "I\'m OK"]\n'


def test_a_long_text_is_cut() -> None:
    assert reply_in(encode_reply(Reply(True, "x" * 10_000))) == (True, "x" * MAX_TEXT)


@pytest.mark.parametrize("character", ["\x00", "é", "\u2028", "😀", "\ud800", '"', "\\", "\n"])
@pytest.mark.parametrize("ok", [True, False, None])
def test_any_reply_fits_into_a_line(ok: bool | None, character: str) -> None:
    line = encode_reply(Reply(ok, character * 1000))
    assert len(line) <= MAX_LINE
    assert line.isascii()
    assert reply_in(line) == (ok, character * MAX_TEXT)


@pytest.mark.parametrize(
    "document",
    [
        None,
        True,
        1,
        "ping",
        {},
        {"ok": True, "value": "x"},
        [],
        [True],
        [True, "x", "y"],
        [1, "x"],
        ["true", "x"],
        [True, None],
        [True, True],
        [True, 1.5],
        [True, []],
        [True, {}],
    ],
)
def test_a_reply_of_another_shape_is_refused(document: object) -> None:
    with pytest.raises(NotLeek, match="not a reply"):
        reply_in(b"leek/1 " + json.dumps(document).encode() + b"\n")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"pong",
        b"[true, ",
        b"[true, NaN]",
        b"[true, Infinity]",
        b'[true, "\xff"]',
        b"[" * 500,
        b'{"a":' * 90,
        b"\x80\x04]q\x00.",
        b"[true, 1e999]",
    ],
)
def test_a_reply_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(NotLeek, match="not a reply"):
        reply_in(b"leek/1 " + body + b"\n")


def test_a_reply_of_another_version_is_refused() -> None:
    with pytest.raises(NotLeek, match="version"):
        reply_in(b'leek/2 [true, "x"]\n')


def test_half_a_reply_is_refused() -> None:
    with pytest.raises(LineCutShort):
        reply_in(b'leek/1 [true, "I')


def test_an_over_long_reply_is_refused() -> None:
    with pytest.raises(LineTooLong):
        reply_in(b'leek/1 [true, "' + b"x" * MAX_LINE + b'"]\n')


# Challenges


def nonce_in(line: bytes) -> str:
    return read_nonce(BytesIO(line))


def test_a_nonce_comes_back() -> None:
    assert nonce_in(encode_reply(Reply(None, "0f" * 16))) == "0f" * 16


@pytest.mark.parametrize(
    "reply",
    [
        Reply(True, "0f" * 16),
        Reply(False, "0f" * 16),
        Reply(None, ""),
        Reply(None, "0f" * 15),
        Reply(None, "0f" * 17),
        Reply(None, "0F" * 16),
        Reply(None, "stop " + "0f" * 14),
        Reply(None, "0f" * 16 + "\n"),
        Reply(None, 10**31),
    ],
)
def test_what_is_no_nonce_is_refused(reply: Reply) -> None:
    with pytest.raises(NotLeek, match="not a challenge"):
        nonce_in(encode_reply(reply))


def test_an_answer_is_an_hmac_over_command_and_nonce() -> None:
    expected = hmac.new(b"secret", b"stop 0f0f", hashlib.sha256).hexdigest()
    assert answer_to("0f0f", "stop", b"secret") == expected


def test_an_answer_fits_into_a_request() -> None:
    answer = f"{answer_to('0f0f', 'stop', b'secret')}-{'0f' * 16}"
    assert word_in(encode_word(answer)) == answer


@pytest.mark.parametrize(
    ("nonce", "command", "secret"),
    [("0e0e", "stop", b"secret"), ("0f0f", "stop-worker", b"secret"), ("0f0f", "stop", b"other")],
)
def test_an_answer_to_anything_else_does_not_match(nonce: str, command: str, secret: bytes) -> None:
    expected = answer_to("0f0f", "stop", b"secret")
    assert not answers_match(answer_to(nonce, command, secret), expected)


def test_equal_answers_match() -> None:
    assert answers_match(answer_to("0f", "stop", b"x"), answer_to("0f", "stop", b"x"))


@pytest.mark.parametrize("given", ["", "stop", "é", "0" * 63])
def test_another_text_is_no_answer(given: str) -> None:
    assert not answers_match(given, answer_to("0f", "stop", b"x"))


def test_an_acceptance_fits_into_a_reply() -> None:
    accepted = acceptance("0f" * 16, "stop", b"secret")
    assert reply_in(encode_reply(accepted)) == accepted


def test_an_acceptance_is_a_proof_of_its_own() -> None:
    accepted = str(acceptance("0f", "stop", b"x").value)
    assert len(accepted) >= 32
    assert not answer_to("0f", "stop", b"x").startswith(accepted)
    for other in (("0e", "stop", b"x"), ("0f", "stop-worker", b"x"), ("0f", "stop", b"y")):
        assert acceptance(*other).value != accepted
