"""Hints, from the push's end of a connection that is kept to the listener's."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from io import BytesIO

import pytest

from leek import connecting, hint_line, hinting
from leek.protocol import encode_word, read_word
from leek.server import listener as listening
from leek.server.listener import Listener
from tests.support import python, wait_until

pytestmark = pytest.mark.any_database

HINT = encode_word("hint")
AGES = 3600.0  # seconds: what waits so long in a test hangs
USUAL_REST, USUAL_TIMEOUT = hint_line.LONGEST_REST, listening.READ_TIMEOUT


@pytest.fixture(autouse=True)
def nobody_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have both ends give up nothing because of the time that this machine takes."""
    monkeypatch.setenv("LEEK_HINT_TIMEOUT", str(AGES))
    for limit in ("LONGEST_REST", "LONGEST_USE", "LONGEST_SILENCE"):
        monkeypatch.setattr(hint_line, limit, AGES)
    monkeypatch.setattr(listening, "READ_TIMEOUT", AGES)


class Control:
    """Stands for a server that counts the hints it hears."""

    worker_on = True
    handled = 0
    claimed_waiting = 0

    def __init__(self) -> None:
        self.hints = 0

    def hint(self) -> None:
        """Count."""
        self.hints += 1

    def offer(self) -> bool:
        """Have no room."""
        return False

    def cancel(self, task_id: int) -> bool:
        """Have no task."""
        return False

    def stop_worker(self) -> None:
        """Do nothing."""

    stop = stop_worker

    def await_hints(self, number: int) -> None:
        """Wait until so many hints are heard in all."""
        wait_until(lambda: self.hints == number, f"hint {number}")


Listen = Callable[[], tuple[Listener, Control]]


@pytest.fixture
def listen(port: int) -> Iterator[Listen]:
    """Return a function that starts a listener where hints go to; it ends with the test."""
    with ExitStack() as stack:

        def start() -> tuple[Listener, Control]:
            control = Control()
            listener = Listener("127.0.0.1", port, control)
            stack.callback(listener.stop)
            listener.start()
            return listener, control

        yield start


@pytest.fixture
def door(port: int) -> Iterator[socket.socket]:
    """Return a listening socket that hints go to; nothing is accepted but by the test."""
    with socket.create_server(("127.0.0.1", port)) as door:
        door.settimeout(10)
        yield door


def connections_at(door: socket.socket) -> list[socket.socket]:
    """Accept all connections that are there."""
    door.setblocking(False)
    accepted: list[socket.socket] = []
    with suppress(BlockingIOError):
        while True:
            accepted.append(door.accept()[0])
    return accepted


def said_at(door: socket.socket) -> list[list[str]]:
    """Return the words that came over each connection, which is at its end then."""
    hinting.hinter.close()
    return [words_of(connection) for connection in connections_at(door)]


def words_of(connection: socket.socket) -> list[str]:
    """Return the words that come over a connection until its end."""
    with connection:
        connection.settimeout(10)
        text = b""
        while chunk := connection.recv(65_536):
            text += chunk
    stream = BytesIO(text)
    return [read_word(stream) for _ in range(text.count(b"\n"))]


def connect(port: int) -> socket.socket:
    """Connect as a pusher does."""
    return socket.create_connection(("127.0.0.1", port), 60)


def is_closed(connection: socket.socket) -> bool:
    """Tell whether the other end has closed."""
    connection.setblocking(False)
    with suppress(BlockingIOError):
        try:
            return connection.recv(1) == b""
        except ConnectionError:
            return True
    return False


def await_end(connection: socket.socket) -> None:
    """Wait until the other end has closed."""
    wait_until(lambda: is_closed(connection), "the end of the connection")


def await_end_of_line() -> None:
    """Wait until the line of this process cannot be used any more."""
    line = hinting.hinter._line
    assert line is not None
    wait_until(lambda: not line.is_open(), "the end of the line")


class TestThePushersEnd:
    """One connection is kept, and replaced as soon as it leads nowhere."""

    def test_keeps_its_connection(self, door: socket.socket) -> None:
        for _ in range(3):
            hinting.hint()
        assert said_at(door) == [["hint"] * 3]

    def test_shares_its_connection_among_threads(self, door: socket.socket) -> None:
        def hint_often() -> None:
            for _ in range(50):
                hinting.hint()

        threads = [threading.Thread(target=hint_often) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert said_at(door) == [["hint"] * 400]

    def test_is_heard_at_once_by_a_server_that_was_restarted(self, listen: Listen) -> None:
        for _ in range(3):
            listener, control = listen()
            hinting.hint()
            control.await_hints(1)
            listener.stop()

    def test_is_heard_after_it_was_idle_for_longer_than_a_server_waits(
        self, listen: Listen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, control = listen()
        for number in (1, 3, 5):
            monkeypatch.setattr(listening, "READ_TIMEOUT", AGES)  # until the connection is kept
            hinting.hint()
            control.await_hints(number)
            monkeypatch.setattr(listening, "READ_TIMEOUT", 0.01)
            hinting.hint()
            control.await_hints(number + 1)
            await_end_of_line()

    def test_does_not_use_what_a_server_may_close_any_moment(self) -> None:
        assert USUAL_REST <= USUAL_TIMEOUT / 2

    @pytest.mark.parametrize("limit", ["LONGEST_REST", "LONGEST_USE"])
    def test_connects_anew_after_a_while(
        self, door: socket.socket, limit: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hint_line, limit, -1.0)
        for _ in range(3):
            hinting.hint()
        assert said_at(door) == [["hint"]] * 3

    def test_connects_anew_where_somebody_talks(self, door: socket.socket) -> None:
        hinting.hint()
        talker, _ = door.accept()
        talker.sendall(b"220 ready\r\n")
        await_end_of_line()
        hinting.hint()
        assert said_at(door) == [["hint"]]
        talker.close()

    def test_goes_where_the_settings_say_now(
        self, door: socket.socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            hinting.hint()
            monkeypatch.setenv("LEEK_TASKS_PORT", str(other.getsockname()[1]))
            hinting.hint()
            assert said_at(other) == [["hint"]]
        assert said_at(door) == [["hint"]]

    def test_goes_to_one_server_for_a_while(self, door: socket.socket) -> None:
        hinting.hint()
        with socket.create_server(("127.0.0.1", 0)) as other:
            with hinting.hints_to("127.0.0.1", other.getsockname()[1]):
                hinting.hint()
            assert said_at(other) == [["hint"]]
        hinting.hint()
        assert said_at(door) == [["hint"]] * 2

    def test_never_waits_for_a_server_that_does_not_read(
        self, door: socket.socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def connect_with_little_room(host: str, port: int, timeout: float) -> socket.socket:
            connection = connecting.connect(host, port, timeout)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            return connection

        monkeypatch.setattr(hinting, "connect", connect_with_little_room)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(20_000):
            hinting.hint()
        said = said_at(door)
        assert {word for words in said for word in words} == {"hint"}
        assert sum(map(len, said)) < 20_000

    def test_waits_for_another_thread_no_longer_than_for_a_server(
        self, door: socket.socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LEEK_HINT_TIMEOUT", "0.01")
        with hinting.hinter._lock:
            hinting.hint()
        assert said_at(door) == []

    def test_learns_of_a_black_hole_in_one_thread_for_all(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hinting, "FIRST_PAUSE", AGES)
        monkeypatch.setattr(hinting, "LONGEST_PAUSE", AGES)
        tries: list[int] = []

        def time_out(host: str, port: int, timeout: float) -> socket.socket:
            tries.append(port)
            raise TimeoutError

        monkeypatch.setattr(hinting, "connect", time_out)
        threads = [threading.Thread(target=hinting.hint) for _ in range(5)]
        with hinting.hinter._lock:  # so that all of them wait for it, but for those that are slow
            for thread in threads:
                thread.start()
        for thread in threads:
            thread.join()
        assert len(tries) == 1


FORK = """
import os, threading, warnings
from leek import hint_line, hinting

hint_line.LONGEST_REST = hint_line.LONGEST_USE = 3600.0
warnings.simplefilter("ignore", DeprecationWarning)  # that a process with threads is forked

def in_child(act):
    if (child := os.fork()) == 0:
        try:
            act()
        finally:
            os._exit(0)
    os.waitpid(child, 0)

hinting.hint()
in_child(hinting.hint)
hinting.hint()
held, done = threading.Event(), threading.Event()

def hold():
    with hinting.hinter._lock:
        held.set()
        done.wait()

thread = threading.Thread(target=hold)
thread.start()
held.wait()
in_child(hinting.hint)
done.set()
thread.join()
hinting.hint()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_a_connection_of_its_own(door: socket.socket) -> None:
    code = "import django; django.setup()\n" + FORK
    answer = python("-c", code)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    assert sorted(said_at(door), key=len) == [["hint"], ["hint"], ["hint"] * 3]


class TestTheListenersEnd:
    """Who has hinted is heard on, and has room of his own."""

    def test_takes_hints_that_come_together_for_one(self, listen: Listen) -> None:
        listener, control = listen()
        with connect(listener.port) as pusher:
            for number in range(1, 4):
                pusher.sendall(HINT * 40)
                control.await_hints(number)

    def test_hears_a_hint_that_comes_in_pieces(self, listen: Listen) -> None:
        listener, control = listen()
        with connect(listener.port) as pusher:
            pusher.sendall(HINT + HINT[:5])
            control.await_hints(1)
            pusher.sendall(HINT[5:])
            control.await_hints(2)

    def test_hears_who_hints_and_is_gone(self, listen: Listen) -> None:
        listener, control = listen()
        for number in range(1, 4):
            with connect(listener.port) as pusher:
                pusher.sendall(HINT)
            control.await_hints(number)
        wait_until(lambda: not listener._kept, "the end of the connections")

    @pytest.mark.parametrize("text", [b"leek/1 " + b"x" * 600, b"\n", b"leek/2 hint\n", b"leek"])
    def test_hears_the_hint_before_what_costs_the_connection(
        self, listen: Listen, text: bytes
    ) -> None:
        listener, control = listen()
        with connect(listener.port) as pusher:
            pusher.sendall(HINT + text)
            with suppress(OSError):  # it may have been closed by then
                pusher.shutdown(socket.SHUT_WR)
            await_end(pusher)
        assert control.hints == 1

    def test_answers_who_has_hinted(self, listen: Listen) -> None:
        listener, control = listen()
        with connect(listener.port) as pusher:
            pusher.sendall(HINT + encode_word("ping") + HINT)
            assert pusher.makefile("rb").read() == b'leek/1 [true, "I\'m OK"]\n'
        assert control.hints == 1

    def test_takes_no_hint_for_an_answer_to_a_challenge(self, listen: Listen) -> None:
        listener, control = listen()
        with connect(listener.port) as pusher, pusher.makefile("rb") as lines:
            pusher.sendall(encode_word("stop") + HINT)
            assert b"null" in lines.readline()
            assert b"wrong secret" in lines.readline()
            assert lines.readline() == b""
        assert control.hints == 0

    def test_cuts_off_who_hints_and_then_drips(
        self, listen: Listen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listener, control = listen()
        with connect(listener.port) as pusher:
            pusher.sendall(HINT)
            control.await_hints(1)
            monkeypatch.setattr(listening, "READ_TIMEOUT", 0.2)
            pusher.sendall(HINT)
            control.await_hints(2)

            def is_cut_off() -> bool:
                with suppress(ConnectionError):
                    pusher.send(b" ")
                return is_closed(pusher)

            wait_until(is_cut_off, "the end of the connection")
        assert control.hints == 2

    def test_keeps_who_has_hinted_however_many_are_silent(
        self, listen: Listen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listening, "MOST_SILENT", 20)
        listener, control = listen()
        with ExitStack() as stack:
            pusher = stack.enter_context(connect(listener.port))
            for number in range(1, 10):
                pusher.sendall(HINT)
                control.await_hints(number)
                crowd = [stack.enter_context(connect(listener.port)) for _ in range(30)]
                await_end(crowd[0])
            assert not is_closed(pusher)

    def test_parts_with_who_was_quiet_longest_and_misses_no_hint_of_his(
        self, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listening, "MOST_KEPT", 2)
        control = Control()
        listener = Listener("127.0.0.1", port, control)
        kept: list[int] = []
        monkeypatch.setattr(control, "hint", lambda: kept.append(len(listener._kept)))
        with ExitStack() as stack:
            stack.callback(listener.stop)
            pushers = [stack.enter_context(connect(listener.port)) for _ in range(3)]
            for number, pusher in enumerate(pushers, 1):
                pusher.sendall(HINT)
                while len(kept) < number:
                    listener.run_once()
            assert kept == [1, 2, 2]  # and so he may hint until the end, and all look for his work
            await_end(pushers[0])
            assert not any(map(is_closed, pushers[1:]))

    def test_hears_a_hint_before_it_parts_with_who_is_late(
        self, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listening, "READ_TIMEOUT", 0.0)
        control = Control()
        listener = Listener("127.0.0.1", port, control)
        with ExitStack() as stack:
            stack.callback(listener.stop)
            pusher = stack.enter_context(connect(listener.port))
            pusher.sendall(HINT)
            listener.run_once()
        assert control.hints == 1
