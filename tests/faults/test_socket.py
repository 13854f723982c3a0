"""Whatever arrives on the socket costs its sender the connection, and nothing else."""

import resource
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from queue import Queue

import pytest

from leek import client
from leek.api import push_task_to_queue
from leek.conf import protocol_secrets
from leek.models import Tallies
from leek.protocol import (
    WRONG_SECRET,
    Reply,
    acceptance,
    answer_to,
    encode_word,
    read_nonce,
    read_reply,
)
from leek.server.conversation import MOST_SLOW
from leek.server.listener import MOST_SILENT, Listener
from tests.conftest import StartServer
from tests.faults.footprint import IS_TOLD, Footprint, footprint
from tests.faults.troubles import locked_table, uses_wal
from tests.site import tasks
from tests.support import GIVE_UP_AFTER, LeekServer, wait_until

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.skipif(not IS_TOLD, reason="only Linux tells what a process holds"),
]

ONLY_HINTS = {"LEEK_POLL_INTERVAL": "3600"}  # what runs all the same has had its hint heard

ODD = {
    "nothing": b"",
    "an empty line": b"\n",
    "garbage": bytes(range(256)),
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a TLS hello": bytes.fromhex("16030100c8010000c40303") + bytes(range(11, 200)),
    "a huge line": b"leek/1 " + b"x" * 4_000_000,
    "a huge line that ends": b"x" * 4_000_000 + b"\n",
    "NUL bytes": b"\x00" * 1000,
    "NUL bytes in a line": b"leek/1 pi\x00ng\n",
    "half a line": b"leek/1 pin",
    "half a hint": b"leek/1 hint",
    "another version": b"leek/2 ping\n",
    "no command": b"leek/1 ../../etc/passwd\n",
    "a line too long by a byte": b"leek/1 ".ljust(512, b"x") + b"\n",
    "a pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.\n",
}


def connect(port: int) -> socket.socket:
    """Connect as a client does that may do anything."""
    return socket.create_connection(("127.0.0.1", port), 60)


def say(connection: socket.socket, text: bytes) -> None:
    """Send, unless the other end has had enough."""
    with suppress(ConnectionError):
        connection.sendall(text)


def connect_and_say(port: int, text: bytes) -> socket.socket:
    """Connect, and send before the server has waited too long for it."""
    connection = connect(port)
    say(connection, text)
    return connection


def heard_until_the_end(connection: socket.socket) -> bytes:
    """Return what the server says until it ends the connection."""
    heard = b""
    with suppress(ConnectionError):
        while part := connection.recv(1024):
            heard += part
    return heard


def reset(connection: socket.socket) -> None:
    """Close by RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def half_close(connection: socket.socket) -> None:
    """Say that nothing more will come."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)


ENDINGS: dict[str, Callable[[socket.socket], None]] = {
    "FIN": socket.socket.close,
    "RST": reset,
    "half-closed": half_close,
    "silence": lambda connection: None,
}


def assert_at_work(server: LeekServer) -> None:
    """Assert that hints are heard, tasks run and questions are answered."""
    assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
    assert client.ask("ping", port=server.port) == (True, "I'm OK")


def nothing_is_left(server: LeekServer, before: Footprint) -> Callable[[], bool]:
    """Return a condition: no threads and connections are there that were not there before."""

    def condition() -> bool:
        now = footprint(server.process.pid)
        return now.threads <= before.threads and now.sockets <= before.sockets

    return condition


def held_by(server: LeekServer) -> Footprint:
    """Return what a server that is at work holds, once all its threads have their connections."""
    assert_at_work(server)
    wait_until(Tallies.objects.exists, "what the last of them stores")
    return footprint(server.process.pid)


@pytest.mark.parametrize("ending", ENDINGS)
def test_odd_input_costs_the_connection(start_server: StartServer, ending: str) -> None:
    server = start_server(**ONLY_HINTS)
    before = held_by(server)
    connections = [connect(server.port) for _ in ODD]
    for connection, text in zip(connections, ODD.values(), strict=True):
        say(connection, text)
        ENDINGS[ending](connection)
    assert_at_work(server)
    for connection in connections:
        if connection.fileno() >= 0:
            assert heard_until_the_end(connection) == b""
            connection.close()
    wait_until(nothing_is_left(server, before), "the end of all connections")
    assert_at_work(server)


def test_a_slow_sender_is_cut_off(start_server: StartServer) -> None:
    server = start_server()
    with connect(server.port) as connection:
        connection.settimeout(0.05)

        def is_cut_off() -> bool:
            say(connection, b"x")
            try:
                return connection.recv(1024) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        wait_until(is_cut_off, "the end of the connection")
    assert_at_work(server)


def test_a_sender_that_pauses_within_its_time_is_served(start_server: StartServer) -> None:
    server = start_server()
    with connect(server.port) as connection:
        for byte in b"leek/1 handled\n":
            connection.sendall(bytes([byte]))
        assert heard_until_the_end(connection) == b"leek/1 [true, 0]\n"


def test_who_never_reads_the_reply_holds_nothing(start_server: StartServer) -> None:
    server = start_server()
    before = held_by(server)
    with ExitStack() as stack:
        connections = [
            stack.enter_context(connect_and_say(server.port, encode_word("ping")))
            for _ in range(100)
        ]
        wait_until(nothing_is_left(server, before), "the end of all connections")
        for connection in connections:
            assert heard_until_the_end(connection) == b'leek/1 [true, "I\'m OK"]\n'


def test_connections_held_in_silence_keep_nobody_out(start_server: StartServer) -> None:
    server = start_server(**ONLY_HINTS)
    before = held_by(server)
    with ExitStack() as stack:
        for _ in range(3 * MOST_SILENT):
            stack.enter_context(connect(server.port))
        assert_at_work(server)
        now = footprint(server.process.pid)
        assert now.threads <= before.threads
        hinting = 1  # the pusher's connection, which is kept for its next hints
        assert now.sockets <= before.sockets + MOST_SILENT + hinting
        assert client.command("stop", port=server.port).ok
    assert server.wait() == 0


@contextmanager
def hog(port: int, text: bytes) -> Iterator[Callable[[], None]]:
    """Open ever new connections that do not say enough, as fast as this goes.

    Return a function that lets it go on: between two calls it opens no more than half of those that
    the server waits for, since who lets as many come before its line has to go.
    """
    portions: Queue[int] = Queue(maxsize=1)  # beside the one that is being opened

    def open_connections() -> None:
        held: deque[socket.socket] = deque()
        while number := portions.get():
            for _ in range(number):
                held.append(connect_and_say(port, text))
                if len(held) > 400:
                    reset(held.popleft())
        for connection in held:
            reset(connection)

    thread = threading.Thread(target=open_connections)
    thread.start()
    try:
        yield partial(portions.put, MOST_SILENT // 4, timeout=GIVE_UP_AFTER)
    finally:
        portions.put(0, timeout=GIVE_UP_AFTER)
        thread.join()


@pytest.mark.parametrize(
    "text", [b"", b"leek/1 sto", b"leek/1 stop\n", b"leek/1 hint\n", b"leek/1 wait-1\n"]
)
def test_a_hog_keeps_nobody_out(start_server: StartServer, text: bytes) -> None:
    server = start_server("-v0", **ONLY_HINTS)
    before = held_by(server)
    with hog(server.port, text) as go_on:
        for _ in range(40):
            go_on()
            assert_at_work(server)
        go_on()
        assert client.command("stop-worker", port=server.port).ok
        go_on()
        assert client.ask("ping", port=server.port) == (False, "Worker Off")
    wait_until(nothing_is_left(server, before), "the end of all connections")


def test_thousands_of_connections_come_and_go(start_server: StartServer) -> None:
    server = start_server("-v0", **ONLY_HINTS)
    before = held_by(server)
    for number in range(5000):
        with connect(server.port) as connection:
            if number % 2:
                say(connection, b"leek/1 ping\n")
        if number % 500 == 0:
            assert_at_work(server)
    wait_until(nothing_is_left(server, before), "the end of all connections")


def test_a_server_that_was_killed_and_restarted_hears_the_next_hint(
    start_server: StartServer,
) -> None:
    for _ in range(3):
        server = start_server(**ONLY_HINTS)
        assert_at_work(server)
        server.kill()


def test_a_push_does_not_wait_for_a_server_that_stands_still(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEEK_HINT_TIMEOUT", "3600")
    server = start_server(**ONLY_HINTS)
    assert_at_work(server)
    server.freeze()
    rows = [push_task_to_queue(tasks.add, 1, number) for number in range(20)]
    server.thaw()
    assert [row.wait(60) for row in rows] == list(range(1, 21))


@pytest.mark.skipif(uses_wal(), reason="with write-ahead logging nobody keeps readers out")
def test_questions_that_a_database_does_not_answer_keep_out_only_their_like(
    start_server: StartServer,
) -> None:
    server = start_server()
    threads = held_by(server).threads
    with ExitStack() as stack, locked_table():

        def ask(number: int) -> list[socket.socket]:
            """Ask so many questions."""
            question = encode_word("waiting")
            return [
                stack.enter_context(connect_and_say(server.port, question)) for _ in range(number)
            ]

        ask(MOST_SLOW)
        wait_until(lambda: footprint(server.process.pid).threads == threads + MOST_SLOW)
        others = ask(2 * MOST_SLOW)
        assert {heard_until_the_end(asker) for asker in others} == {b""}
        assert client.ask("ping", port=server.port).ok
        assert footprint(server.process.pid).threads <= threads + MOST_SLOW
    assert_at_work(server)


# Stopping needs the secret, each time anew


def answer_challenge(port: int, order: str, answer: Callable[[str], str]) -> Reply:
    """Give an order, answer its challenge by a function of the nonce, and return the reply."""
    with connect(port) as connection, connection.makefile("rb") as lines:
        connection.sendall(encode_word(order))
        connection.sendall(encode_word(answer(read_nonce(lines))))
        return read_reply(lines)


@pytest.mark.parametrize("order", ["stop", "stop-worker", "cancel-1"])
def test_another_answer_is_refused(start_server: StartServer, order: str) -> None:
    server = start_server()
    (secret,) = protocol_secrets()
    other = {"stop": "stop-worker", "stop-worker": "stop", "cancel-1": "cancel-2"}[order]
    recorded = answer_to("0f" * 16, order, secret)
    answers: list[Callable[[str], str]] = [
        lambda nonce: recorded,
        lambda nonce: f"{recorded}-{nonce}",
        lambda nonce: answer_to(nonce, other, secret),
        lambda nonce: answer_to(nonce, order, b"another secret"),
        lambda nonce: answer_to(nonce, order, b""),
        lambda nonce: answer_to(nonce, order, secret)[:-1],
        lambda nonce: answer_to(nonce, order, secret) + "0",
        lambda nonce: nonce,
        lambda nonce: "0",
        lambda nonce: "-" + answer_to(nonce, order, secret),
        lambda nonce: order,
        lambda nonce: "f" * 128,
    ]
    for answer in answers:
        assert answer_challenge(server.port, order, answer) == WRONG_SECRET
    assert_at_work(server)


def test_a_recorded_answer_is_good_for_its_own_connection_only(start_server: StartServer) -> None:
    server = start_server()
    (secret,) = protocol_secrets()
    recorded = []

    def answer(nonce: str) -> str:
        recorded.append(f"{answer_to(nonce, 'stop-worker', secret)}-{'0f' * 16}")
        return recorded[0]

    accepted = acceptance("0f" * 16, "stop-worker", secret)
    assert answer_challenge(server.port, "stop-worker", answer) == accepted
    wait_until(lambda: not client.ask("ping", port=server.port).ok, "the end of the Worker")
    for order in ("stop-worker", "stop"):
        assert answer_challenge(server.port, order, lambda nonce: recorded[0]) == WRONG_SECRET
    assert not server.ended


def test_an_answer_before_the_challenge_is_none(start_server: StartServer) -> None:
    server = start_server()
    with connect(server.port) as connection:
        say(connection, encode_word("stop") + encode_word("0f" * 32) + encode_word("stop"))
        half_close(connection)
        assert b"null" in heard_until_the_end(connection)
    assert_at_work(server)


class StoppingControl:
    """Stands for a server whose Worker is off when the listener accepts no more."""

    worker_on = True
    handled = 0
    claimed_waiting = 0

    def __init__(self) -> None:
        self.asked = threading.Event()

    def hint(self) -> None:
        """Do nothing."""

    def offer(self) -> bool:
        """Have no room."""
        return False

    def cancel(self, task_id: int) -> bool:
        """Have no task."""
        return False

    def stop_worker(self) -> None:
        """Wait until the Worker is off."""
        self.asked.set()
        wait_until(lambda: "leek-listener" not in [each.name for each in threading.enumerate()])

    stop = stop_worker


def test_an_order_is_answered_before_the_listener_has_stopped() -> None:
    control = StoppingControl()
    listener = Listener("127.0.0.1", 0, control)
    listener.start()
    (secret,) = protocol_secrets()
    with connect(listener.port) as connection, connection.makefile("rb") as lines:
        connection.sendall(encode_word("stop-worker"))
        answer = answer_to(read_nonce(lines), "stop-worker", secret)
        connection.sendall(encode_word(f"{answer}-{'0f' * 16}"))
        read_reply(lines)
        control.asked.wait(60)
        listener.stop()
        connection.setblocking(False)
        assert connection.recv(1024) == b'leek/1 [true, "Worker Off"]\n'


# No files left


def limit_files(server: LeekServer, number: int) -> None:
    """Let a server open so many files at most."""
    _, most = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (number, most))


@pytest.mark.logs_errors
def test_a_server_short_of_files_goes_on(start_server: StartServer) -> None:
    server = start_server()
    files = held_by(server).files
    limit_files(server, files + 20)
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(connect(server.port))
        assert client.ask("ping", port=server.port).ok
    assert_at_work(server)


@pytest.mark.logs_errors
def test_a_server_without_files_rests_and_says_so_once(start_server: StartServer) -> None:
    server = start_server()
    held_by(server)
    _, files = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    limit_files(server, 5)
    with closing(connect(server.port)):
        wait_until(lambda: "Connections cannot be accepted" in server.log)
        began, ticks = time.monotonic(), footprint(server.process.pid).ticks
        wait_until(lambda: time.monotonic() > began + 1)
        assert footprint(server.process.pid).ticks - ticks < 50  # of a hundred in a second
    limit_files(server, files)
    assert_at_work(server)
    assert server.log.count("Connections cannot be accepted") == 1
