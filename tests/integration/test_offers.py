"""Offers, from the forwarder's end of a connection to the listener's."""

import errno
import queue
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from selectors import DefaultSelector
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from leek import leases
from leek.models import Servers
from leek.protocol import BUSY, IDLE, TAKEN, Reply, encode_reply, encode_word, read_reply
from leek.queues import Queues
from leek.server import offers as offering
from leek.server import sibling_line
from leek.server.conversation import Conversation
from leek.server.forwarder import Forwarder
from leek.server.listener import Listener
from leek.server.service import Outage
from leek.server.sibling_reader import SiblingReader
from tests.integration.test_hints import AGES, Control, await_end, connect
from tests.support import GIVE_UP_AFTER, free_port, wait_until

pytestmark = pytest.mark.any_database

OFFER = encode_word("offer")


class Sibling:
    """Stands for a server of the fleet that says what the test has it say."""

    def __init__(self, stack: ExitStack, queues: Queues = None) -> None:
        self._stack = stack
        self._door = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._door.settimeout(GIVE_UP_AFTER)
        port = self._door.getsockname()[1]
        self.row = leases.register(
            address="127.0.0.1", port=port, workers=1, queues=queues, seconds=3600
        )

    def accept(self) -> None:
        """Accept the connection of one who forwards."""
        self.line = self._stack.enter_context(self._door.accept()[0])
        self.line.settimeout(GIVE_UP_AFTER)

    def hear_offer(self) -> None:
        """Wait for an offer."""
        assert self.line.recv(1024) == OFFER

    def answer(self, reply: Reply) -> None:
        """Wait for an offer, and say how it is."""
        self.hear_offer()
        self.say(reply)

    def say(self, reply: Reply) -> None:
        """Say how it is."""
        self.line.sendall(encode_reply(reply))

    @property
    def has_heard_more(self) -> bool:
        """Whether there is an offer that was not heard yet, or somebody else connects."""
        for end in (self._door, getattr(self, "line", None)):
            if end is not None:
                end.setblocking(False)
                try:
                    end.accept() if end is self._door else end.recv(1, socket.MSG_PEEK)
                except BlockingIOError:
                    continue
                else:
                    return True
                finally:
                    end.settimeout(GIVE_UP_AFTER)
        return False


@contextmanager
def forwarder(queues: Queues = None) -> Iterator[tuple[Forwarder, threading.Event]]:
    """Yield a forwarder that knows of siblings, and what is set when one has room again."""
    has_heard = threading.Event()
    forwarder = Forwarder(Outage(), uuid.uuid4(), queues, on_idle=has_heard.set)
    forwarder.found_siblings(True)
    try:
        yield forwarder, has_heard
    finally:
        forwarder.stop()
        forwarder.join()


def find_busy(forward: Forwarder, sibling: Sibling) -> None:
    """Offer a sibling what it has no room for."""
    forward.surplus()
    sibling.accept()
    sibling.answer(BUSY)
    wait_until(lambda: not forward.may_find_room)


@pytest.fixture
def stack(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    """Return what ends the siblings with the test; whom nobody gives up because they are slow."""
    monkeypatch.setattr(sibling_line, "ANSWERED_WITHIN", GIVE_UP_AFTER)
    with ExitStack() as stack:
        yield stack


class TestTheForwardersEnd:
    """What is sent to whom."""

    def test_a_server_alone_has_no_thread_and_asks_nothing(self, transactional_db: None) -> None:
        forwarder = Forwarder(Outage(), uuid.uuid4(), ["mail"], on_idle=lambda: None)
        forwarder.found_siblings(False)
        with CaptureQueriesContext(connection) as queries:
            forwarder.surplus()
            forwarder.hinted()
            assert not forwarder.may_find_room
        assert not queries
        assert not [each for each in threading.enumerate() if each.name.startswith("leek-")]

    def test_evidence_waits_for_the_first_sibling(self, stack: ExitStack) -> None:
        sibling = Sibling(stack)
        with forwarder() as (forward, _):
            forward.found_siblings(False)
            forward.surplus()
            forward.found_siblings(True)
            sibling.accept()
            sibling.answer(TAKEN)

    def test_evidence_that_came_up_where_nobody_was_is_for_who_comes_back(
        self, stack: ExitStack
    ) -> None:
        with forwarder() as (forward, _):
            forward.surplus()
            wait_until(lambda: not forward.has_siblings, "the siblings, of whom there is none")
            forward.surplus()
            sibling = Sibling(stack)
            forward.found_siblings(True)
            sibling.accept()
            sibling.answer(TAKEN)

    def test_evidence_is_kept_by_a_look_that_finds_no_sibling(self, stack: ExitStack) -> None:
        sibling = Sibling(stack)
        with forwarder() as (forward, _):
            forward.found_siblings(False)
            forward.surplus()  # it may come up during the look
            forward.found_siblings(False)
            forward.found_siblings(True)
            sibling.accept()
            sibling.answer(TAKEN)

    def test_who_joins_while_all_others_are_busy_is_offered_what_there_is(
        self, stack: ExitStack
    ) -> None:
        busy = Sibling(stack)
        with forwarder() as (forward, _):
            find_busy(forward, busy)
            joined = Sibling(stack)
            forward.surplus()
            joined.accept()
            joined.answer(TAKEN)

    def test_a_sibling_that_is_read_late_is_offered_what_came_up_before(
        self, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("leek.server.forwarder.READ_WITHIN", 0.0)
        sibling = Sibling(stack)
        read, is_read_late = leases.siblings, threading.Event()

        def read_late(boot: uuid.UUID) -> list[Servers]:
            is_read_late.wait(GIVE_UP_AFTER)
            return read(boot)

        monkeypatch.setattr(leases, "siblings", read_late)
        with forwarder() as (forward, _):
            forward.surplus()
            wait_until(lambda: not forward._evidence)
            is_read_late.set()
            sibling.accept()
            sibling.answer(TAKEN)

    def test_a_busy_sibling_is_told_once_and_again_when_it_has_room(self, stack: ExitStack) -> None:
        sibling = Sibling(stack)
        with forwarder() as (forward, has_heard):
            find_busy(forward, sibling)
            for _ in range(100):
                forward.surplus()
                forward.hinted()
                forward.cannot_start()
            assert not sibling.has_heard_more
            sibling.say(IDLE)
            assert has_heard.wait(GIVE_UP_AFTER)
            forward.surplus()
            sibling.answer(TAKEN)

    @pytest.mark.parametrize("known_for", [3600.0, 0.0])
    def test_what_came_up_before_the_word_that_there_is_room_was_there_is_offered(
        self, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, known_for: float
    ) -> None:
        monkeypatch.setattr("leek.server.forwarder.KNOWN_FOR", known_for)
        sibling = Sibling(stack)
        with forwarder() as (forward, _):
            find_busy(forward, sibling)
            forward.surplus()
            wait_until(lambda: not forward._evidence)
            sibling.say(IDLE)
            sibling.hear_offer()

    def test_what_came_up_before_the_word_that_there_is_no_room_is_offered_when_there_is(
        self, stack: ExitStack
    ) -> None:
        sibling = Sibling(stack)
        with forwarder() as (forward, _):
            forward.surplus()
            sibling.accept()
            sibling.hear_offer()
            forward.surplus()
            wait_until(lambda: not forward._evidence)
            sibling.say(BUSY)
            wait_until(lambda: not forward.may_find_room)
            sibling.say(IDLE)
            sibling.hear_offer()

    def test_each_sibling_is_offered_what_came_up_while_it_was_busy(self, stack: ExitStack) -> None:
        siblings = [Sibling(stack), Sibling(stack)]
        with forwarder() as (forward, _):
            forward.surplus()
            for sibling in siblings:
                sibling.accept()
                sibling.hear_offer()
            for sibling in siblings:
                sibling.say(BUSY)
            wait_until(lambda: not forward.may_find_room)
            forward.surplus()
            for sibling in siblings:
                sibling.say(IDLE)
                sibling.answer(BUSY)

    def test_the_word_that_there_is_room_alone_is_no_reason_for_an_offer(
        self, stack: ExitStack
    ) -> None:
        sibling = Sibling(stack)
        with forwarder() as (forward, has_heard):
            find_busy(forward, sibling)
            sibling.say(IDLE)
            assert has_heard.wait(GIVE_UP_AFTER)
            wait_until(lambda: forward.may_find_room)
            assert not sibling.has_heard_more

    def test_a_busy_sibling_that_ends_the_connection_is_offered_what_came_up(
        self, stack: ExitStack
    ) -> None:
        sibling = Sibling(stack)
        with forwarder() as (forward, _):
            find_busy(forward, sibling)
            forward.surplus()
            sibling.line.close()
            sibling.accept()
            sibling.hear_offer()

    def test_a_busy_sibling_that_ends_the_next_connection_too_is_asked_again_after_long(
        self, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sibling_line, "REPLACED_ONCE_IN", 3600.0)
        sibling = Sibling(stack)
        with forwarder() as (forward, _):
            forward.surplus()
            for _ in range(2):
                sibling.accept()
                sibling.answer(BUSY)
                wait_until(lambda: not forward.may_find_room)
                forward.surplus()
                sibling.line.close()
                del sibling.line
            (line,) = forward._lines.values()
            wait_until(lambda: line._connection is None)
            assert not sibling.has_heard_more
            monkeypatch.setattr(sibling_line, "BUSY_FOR", 0.0)
            forward.surplus()
            sibling.accept()
            sibling.hear_offer()

    def test_a_sibling_that_was_busy_long_ago_is_asked_again(
        self, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sibling_line, "BUSY_FOR", 0.0)
        sibling = Sibling(stack)
        with forwarder() as (forward, _):
            forward.surplus()
            sibling.accept()
            sibling.answer(BUSY)
            wait_until(lambda: not forward._rounds)
            forward.surplus()
            sibling.hear_offer()

    @pytest.mark.logs_errors
    def test_a_system_that_is_short_of_files_is_asked_again(
        self, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        init, refused = DefaultSelector.__init__, threading.Event()

        def refuse_once(selector: DefaultSelector) -> None:
            is_forwarder = threading.current_thread().name == "leek-forwarder"
            if is_forwarder and not refused.is_set():
                refused.set()
                raise OSError(errno.EMFILE, "Too many open files")
            init(selector)

        monkeypatch.setattr(DefaultSelector, "__init__", refuse_once)
        sibling = Sibling(stack)
        with forwarder() as (forward, _):
            forward.surplus()
            sibling.accept()
            sibling.answer(TAKEN)
        assert refused.is_set()

    def test_who_asks_during_a_read_is_told_what_is_read_after_it(
        self, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found: queue.Queue[list[Servers]] = queue.Queue()
        reader = SiblingReader(Outage(), uuid.uuid4(), found.put)
        stack.callback(reader.join)
        stack.callback(reader.stop)
        read = leases.siblings

        def read_while_somebody_asks(boot: uuid.UUID) -> list[Servers]:
            monkeypatch.setattr(leases, "siblings", read)
            rows = read(boot)
            Sibling(stack)
            reader.ask()
            return rows

        monkeypatch.setattr(leases, "siblings", read_while_somebody_asks)
        reader.ask()
        assert not found.get(timeout=GIVE_UP_AFTER)
        assert found.get(timeout=GIVE_UP_AFTER)

    def test_what_comes_up_before_the_answer_is_offered_after_it(self, stack: ExitStack) -> None:
        sibling = Sibling(stack)
        with forwarder() as (forward, _):
            forward.surplus()
            sibling.accept()
            sibling.hear_offer()
            forward.surplus()
            wait_until(lambda: not forward._evidence)
            sibling.say(TAKEN)
            sibling.answer(TAKEN)

    def test_one_sibling_is_asked_after_the_other_until_one_has_room(
        self, stack: ExitStack
    ) -> None:
        siblings = [Sibling(stack), Sibling(stack)]
        with forwarder() as (forward, _):
            forward.surplus()  # the first one is slow: both are asked
            for sibling in siblings:
                sibling.accept()
                sibling.hear_offer()
            siblings[0].say(BUSY)
            siblings[1].say(TAKEN)
            wait_until(lambda: not forward._rounds)
            forward.surplus()
            siblings[1].hear_offer()
            siblings[1].say(TAKEN)
            assert not siblings[0].has_heard_more

    def test_one_of_each_set_of_queues_is_asked_that_is_concerned(self, stack: ExitStack) -> None:
        same = Sibling(stack, ["default"])
        other, more = Sibling(stack, ["mail", "news"]), Sibling(stack, None)
        with forwarder(["default"]) as (forward, _):
            forward.hinted()
            for sibling in (other, more):
                sibling.accept()
                sibling.answer(TAKEN)
            wait_until(lambda: not forward._rounds and not forward._evidence)
            assert not same.has_heard_more
            forward.surplus()
            same.accept()
            same.answer(TAKEN)
            more.answer(BUSY)
            assert not other.has_heard_more

    def test_a_sibling_that_ends_an_old_connection_is_asked_over_a_new_one(
        self, stack: ExitStack
    ) -> None:
        sibling = Sibling(stack)
        with forwarder() as (forward, _):
            forward.surplus()
            sibling.accept()
            sibling.answer(TAKEN)
            wait_until(lambda: not forward._rounds and not forward._evidence)
            forward.surplus()
            sibling.hear_offer()
            sibling.line.close()
            sibling.accept()
            sibling.answer(TAKEN)

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"\n",
            b"x" * 100_000,
            b"leek/1 " + b"[" * 600,
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            encode_reply(Reply(False, "unknown command offer")),
            encode_reply(Reply(None, "waiting")),
            bytes(range(256)),
        ],
    )
    def test_who_answers_something_else_is_left_alone(
        self, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, answer: bytes
    ) -> None:
        for rest in ("FIRST_REST", "LONGEST_REST"):
            monkeypatch.setattr(sibling_line, rest, AGES)
        odd = Sibling(stack)
        with forwarder() as (forward, _):
            forward.surplus()
            odd.accept()
            odd.hear_offer()
            with suppress(OSError):  # it may be dropped before it has said all
                odd.line.sendall(answer)
                odd.line.shutdown(socket.SHUT_WR)
            wait_until(lambda: not forward._rounds and not forward._evidence)
            assert not forward.may_find_room
            forward.surplus()
            assert forward._thread.is_alive()

    def test_who_is_gone_from_the_table_is_asked_no_more(
        self, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("leek.server.forwarder.KNOWN_FOR", 0.0)
        sibling = Sibling(stack)
        with forwarder() as (forward, _):
            forward.surplus()
            sibling.accept()
            sibling.answer(TAKEN)
            wait_until(lambda: not forward._rounds and not forward._evidence)
            Servers.objects.all().delete()
            forward.surplus()
            wait_until(lambda: not forward.has_siblings, "the end of the sibling")


class Room(Control):
    """Stands for a server that has room, or has not."""

    has_room = True

    def offer(self) -> bool:
        """Tell."""
        return self.has_room


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def listener(room: Room) -> Iterator[Listener]:
    """Return a listener that runs until the end of the test."""
    listener = Listener("127.0.0.1", free_port(), room)
    listener.start()
    yield listener
    listener.stop()


class TestTheListenersEnd:
    """What is answered."""

    def test_tells_whether_there_is_room_and_when_there_is(
        self, listener: Listener, room: Room
    ) -> None:
        with connect(listener.port) as sibling, sibling.makefile("rb") as lines:
            for _ in range(2):
                room.has_room = True
                sibling.sendall(OFFER)
                assert read_reply(lines) == TAKEN
                room.has_room = False
                sibling.sendall(OFFER * 2)
                assert [read_reply(lines), read_reply(lines)] == [BUSY, BUSY]
                listener.found_no_more()
                assert read_reply(lines) == IDLE

    def test_tells_nobody_twice_that_there_is_room(self, listener: Listener, room: Room) -> None:
        room.has_room = False
        with connect(listener.port) as sibling, sibling.makefile("rb") as lines:
            sibling.sendall(OFFER)
            assert read_reply(lines) == BUSY
            listener.found_no_more()
            assert read_reply(lines) == IDLE
            listener.found_no_more()
            sibling.sendall(OFFER)
            assert read_reply(lines) == BUSY

    def test_hears_hints_and_questions_over_the_same_connection(
        self, listener: Listener, room: Room
    ) -> None:
        with connect(listener.port) as sibling, sibling.makefile("rb") as lines:
            sibling.sendall(OFFER + encode_word("hint") + OFFER + encode_word("ping"))
            assert [read_reply(lines), read_reply(lines)] == [TAKEN, TAKEN]
            assert read_reply(lines).ok
            assert lines.read() == b""
        room.await_hints(1)

    def test_keeps_few_connections(
        self, listener: Listener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("leek.server.listener.MOST_OFFERING", 2)
        with ExitStack() as stack:
            siblings = [stack.enter_context(connect(listener.port)) for _ in range(4)]
            for sibling in siblings:
                sibling.sendall(OFFER)
                assert sibling.recv(1024) == encode_reply(TAKEN)
            for sibling in siblings[:2]:
                await_end(sibling)

    def test_more_siblings_than_a_busy_server_keeps_do_not_displace_each_other_again_and_again(
        self, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, listener: Listener, room: Room
    ) -> None:
        room.has_room = False
        monkeypatch.setattr("leek.server.listener.MOST_OFFERING", 2)
        monkeypatch.setattr(sibling_line, "REPLACED_ONCE_IN", 3600.0)
        monkeypatch.setattr(sibling_line, "BUSY_FOR", 3600.0)
        accepted: list[Conversation] = []

        def accept(*args: Any) -> Conversation:
            accepted.append(Conversation(*args))
            return accepted[-1]

        monkeypatch.setattr("leek.server.listener.Conversation", accept)
        leases.register(
            address="127.0.0.1", port=listener.port, workers=1, queues=None, seconds=3600
        )
        siblings = [stack.enter_context(forwarder())[0] for _ in range(4)]

        def all_are_sent_away() -> bool:
            for sibling in siblings:
                sibling.surplus()
            return not any(sibling.may_find_room for sibling in siblings)

        for _ in range(50):
            wait_until(all_are_sent_away)
        assert len(accepted) <= 2 * len(siblings)

    def test_keeps_no_connection_for_ever(
        self, room: Room, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(offering, "LONGEST_OFFERING", 0.05)
        listener = Listener("127.0.0.1", free_port(), room)
        with ExitStack() as stack:
            stack.callback(listener.stop)
            listener.start()
            sibling = stack.enter_context(connect(listener.port))
            sibling.sendall(OFFER)
            await_end_after(sibling, encode_reply(TAKEN))

    def test_who_does_not_read_loses_the_connection(self, listener: Listener) -> None:
        with connect(listener.port) as sibling:
            sibling.setblocking(False)

            def is_cut_off() -> bool:
                try:
                    sibling.send(OFFER * 1000)
                except BlockingIOError:
                    return False
                except ConnectionError:
                    return True
                return False

            wait_until(is_cut_off, "the end of the connection")


def await_end_after(connection: socket.socket, said: bytes) -> None:
    """Wait for these bytes, and for the end after them."""
    heard = b""
    while chunk := connection.recv(1024):
        heard += chunk
    assert heard == said
