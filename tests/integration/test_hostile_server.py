"""Somebody else at leek_server's port: clients give up in time, say so, and believe nothing."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from django.core.management.base import CommandError

from leek import client, hinting
from leek.api import push_task_to_queue
from leek.conf import protocol_secrets
from leek.exceptions import ServerUnreachable
from leek.models import QueuedTasks
from leek.protocol import WRONG_SECRET, Reply, acceptance, answer_to, encode_reply
from tests.site.tasks import noop
from tests.support import manage, run, wait_until

pytestmark = pytest.mark.any_database

Behaviour = Callable[[socket.socket], None]

NONCE = "0f" * 16
AGES = 3600.0  # seconds: what waits so long in a test hangs


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients wait for what an impostor says, however slow this machine is."""
    monkeypatch.setattr(client, "ASK_TIMEOUT", AGES)


@pytest.fixture
def little_patience(patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients wait for a moment only."""
    monkeypatch.setattr(client, "ASK_TIMEOUT", 0.3)


@pytest.fixture
def due_patience(behaviour: str, request: pytest.FixtureRequest) -> None:
    """Let clients wait for a moment only where they are expected to wait in vain."""
    if COMMANDS[behaviour][1] == "timed out":
        request.getfixturevalue("little_patience")


class Impostor:
    """Listens where leek_server would, and treats each connection by its `behaviour`."""

    def __init__(self, port: int, behaviour: Behaviour) -> None:
        self.port = port
        self._behaviour = behaviour
        self._socket = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection, suppress(OSError):
                    self._behaviour(connection)

    def close(self) -> None:
        """Listen no more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


Impersonate = Callable[[Behaviour], Impostor]


@pytest.fixture
def impersonate(port: int) -> Iterator[Impersonate]:
    """Return a function that starts an impostor; it ends with the test."""
    impostors: list[Impostor] = []

    def start(behaviour: Behaviour) -> Impostor:
        impostors.append(Impostor(port, behaviour))
        return impostors[-1]

    yield start
    hinting.hinter.close()  # an impostor may listen to it until then
    for impostor in impostors:
        impostor.close()


# How an impostor may behave


def be_silent(connection: socket.socket) -> None:
    while connection.recv(1024):
        pass


def close_at_once(connection: socket.socket) -> None:
    pass


def reset(connection: socket.socket) -> None:
    connection.recv(1024)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drip(connection: socket.socket) -> None:
    connection.settimeout(0.02)
    while True:
        connection.sendall(b" ")
        with suppress(TimeoutError):
            if not connection.recv(1024):
                return


def pour(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x" * 65_536)


def saying(*replies: bytes) -> Behaviour:
    """Return a behaviour: to answer each thing said with the next of these, then to close."""

    def answer(connection: socket.socket) -> None:
        for reply in replies:
            connection.recv(1024)
            connection.sendall(reply)

    return answer


def saying_then(reply: bytes, behaviour: Behaviour) -> Behaviour:
    """Return a behaviour: to answer what is said first, and then to behave so."""

    def answer(connection: socket.socket) -> None:
        saying(reply)(connection)
        behaviour(connection)

    return answer


CHALLENGE = encode_reply(Reply(None, NONCE))

ODD: dict[str, tuple[Behaviour, str]] = {
    "silence": (be_silent, "timed out"),
    "dripping": (drip, "timed out"),
    "an endless line": (pour, "longer than 512 bytes"),
    "closing": (close_at_once, "closed|reset"),
    "a reset": (reset, "reset"),
    "half a line": (saying(b'leek/1 [true, "I'), "closed"),
    "HTTP": (saying(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), "not leek"),
    "a TLS alert": (saying(b"\x15\x03\x01\x00\x02\x02\x28"), "closed"),
    "SSH": (saying(b"SSH-2.0-OpenSSH_9.2\r\n"), "not leek"),
    "NUL bytes": (saying(b"\x00" * 100 + b"\n"), "not leek"),
    "another version": (saying(b'leek/2 [true, "I\'m OK"]\n'), "another version"),
    "no JSON": (saying(b"leek/1 yes\n"), "not a reply"),
    "another shape": (saying(b"leek/1 [true, true]\n"), "not a reply"),
    "an endless number": (saying(b"leek/1 [true, " + b"9" * 480 + b"]"), "closed"),
}


@pytest.mark.usefixtures("due_patience")
@pytest.mark.parametrize("behaviour", ODD)
def test_a_question_is_given_up_with_the_reason(impersonate: Impersonate, behaviour: str) -> None:
    act, reason = ODD[behaviour]
    impostor = impersonate(act)
    place = f"No leek_server answers at localhost:{impostor.port} "
    with pytest.raises(ServerUnreachable, match=rf"^{place}\(.*({reason}).*\)\.$"):
        client.ask("ping")


def test_a_challenge_is_no_answer_to_a_question(impersonate: Impersonate) -> None:
    impersonate(saying(CHALLENGE))
    with pytest.raises(ServerUnreachable, match="not an answer"):
        client.ask("ping")


COMMANDS: dict[str, tuple[Behaviour, str]] = ODD | {
    "obedience without a challenge": (saying(b'leek/1 [true, "Worker Off"]\n'), "not a challenge"),
    "a nonce of another kind": (saying(b'leek/1 [null, "stop 0f"]\n'), "not a challenge"),
    "a number for a nonce": (saying(b"leek/1 [null, 12]\n"), "not a challenge"),
    "a huge nonce": (saying(b'leek/1 [null, "' + b"0f" * 2000 + b'"]\n'), "longer than"),
    "a challenge, then silence": (saying_then(CHALLENGE, be_silent), "timed out"),
    "a challenge, then dripping": (saying_then(CHALLENGE, drip), "timed out"),
    "a challenge, then an endless line": (saying_then(CHALLENGE, pour), "longer than"),
    "a challenge, then a reset": (saying_then(CHALLENGE, reset), "reset"),
    "a challenge, then closing": (saying(CHALLENGE), "closed|reset"),
    "obedience without a proof": (
        saying(CHALLENGE, b'leek/1 [true, "Worker Off"]\n'),
        "does not know this site's SECRET_KEY",
    ),
    "a proof of nothing": (saying(CHALLENGE, CHALLENGE), "does not know this site's SECRET_KEY"),
}


@pytest.mark.usefixtures("due_patience")
@pytest.mark.parametrize("behaviour", COMMANDS)
def test_a_command_is_given_up_with_the_reason(impersonate: Impersonate, behaviour: str) -> None:
    act, reason = COMMANDS[behaviour]
    impostor = impersonate(act)
    place = f"No leek_server answers at localhost:{impostor.port} "
    with pytest.raises(ServerUnreachable, match=rf"^{place}\(.*({reason}).*\)\.$"):
        client.command("stop")


def test_a_recorded_proof_is_not_believed(impersonate: Impersonate) -> None:
    (secret,) = protocol_secrets()
    recorded = encode_reply(acceptance("0e" * 16, "stop", secret))
    impersonate(saying(CHALLENGE, recorded))
    with pytest.raises(ServerUnreachable, match="does not know this site's SECRET_KEY"):
        client.command("stop")


def test_what_an_odd_challenge_asks_for_is_not_signed(impersonate: Impersonate) -> None:
    heard = []

    def ask_for_much(connection: socket.socket) -> None:
        heard.append(connection.recv(1024))
        connection.sendall(encode_reply(Reply(None, "accepted stop 0f0f0f0f")))
        heard.append(connection.recv(1024))

    impersonate(ask_for_much)
    with pytest.raises(ServerUnreachable):
        client.command("stop")
    wait_until(lambda: len(heard) == 2, "the end of the connection")
    assert heard == [b"leek/1 stop\n", b""]


def test_an_answer_is_good_for_the_command_that_was_given_only(impersonate: Impersonate) -> None:
    heard = []

    def listen(connection: socket.socket) -> None:
        saying(CHALLENGE)(connection)
        heard.append(connection.recv(1024).decode())

    impersonate(listen)
    with pytest.raises(ServerUnreachable):
        client.command("stop-worker")
    (secret,) = protocol_secrets()
    assert answer_to(NONCE, "stop-worker", secret) in heard[0]
    assert answer_to(NONCE, "stop", secret) not in heard[0]


def test_a_refusal_is_told_as_such(impersonate: Impersonate) -> None:
    impersonate(saying(CHALLENGE, encode_reply(WRONG_SECRET)))
    assert client.command("stop") == WRONG_SECRET


def test_a_refusal_in_other_words_is_not_repeated(impersonate: Impersonate) -> None:
    impersonate(saying(CHALLENGE, encode_reply(Reply(False, "\x1b[2Jcall \n 0900-555"))))
    with pytest.raises(ServerUnreachable) as caught:
        client.command("stop")
    assert "0900" not in str(caught.value)


@pytest.mark.usefixtures("little_patience")
@pytest.mark.parametrize("arguments", [["leek_status", "ping"], ["leek_stop"]])
@pytest.mark.parametrize("behaviour", ["silence", "dripping", "an endless line", "HTTP"])
def test_the_commands_say_that_no_server_answers(
    impersonate: Impersonate, behaviour: str, arguments: list[str]
) -> None:
    impostor = impersonate(ODD[behaviour][0])
    with pytest.raises(CommandError, match=f"localhost:{impostor.port} ") as caught:
        run(*arguments)
    assert caught.value.returncode == 2


@pytest.mark.parametrize("arguments", [["leek_status", "handled"], ["leek_stop"]])
def test_the_reason_is_one_line(impersonate: Impersonate, arguments: list[str]) -> None:
    impersonate(ODD["HTTP"][0])
    answer = manage(*arguments)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("CommandError: No leek_server answers at localhost:")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize("host", ["x" * 70, "a..b", "no\x00name"])
def test_what_is_no_name_of_a_host_is_told(port: int, host: str) -> None:
    with pytest.raises(ServerUnreachable, match=r"^No leek_server answers at .* \(.+\)\.$"):
        client.ask("ping", host=host)


@pytest.mark.parametrize("host", ["x" * 70, "a..b", "no\x00name"])
def test_a_server_cannot_listen_at_what_is_no_name_of_a_host(port: int, host: str) -> None:
    with pytest.raises(CommandError, match=r"^leek_server cannot listen at ") as caught:
        run("leek_server", f"--host={host}")
    assert caught.value.returncode == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("behaviour", ODD)
def test_a_push_does_not_care(impersonate: Impersonate, behaviour: str) -> None:
    impersonate(ODD[behaviour][0])
    for _ in range(3):
        push_task_to_queue(noop)
    assert QueuedTasks.objects.count() == 3
