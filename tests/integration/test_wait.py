"""row.wait() and row.aresult(), with the server's word and without."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.db import connections

from leek import awaiting, hinting
from leek.api import push_many, push_task_to_queue
from leek.exceptions import TaskFailed
from leek.models import QueuedTasks
from leek.outcome import (
    Blocked,
    Claimed,
    Crash,
    ErrorReport,
    Failure,
    Outcome,
    Retry,
    Success,
    cancelled,
)
from leek.protocol import FINISHED, WAITING, Reply, about_task, encode_reply, encode_word
from leek.server import audience
from leek.server.listener import Listener
from tests.conftest import StartServer
from tests.integration.test_hints import AGES, Control, await_end, connect
from tests.integration.test_hostile_server import ODD, Behaviour, Impostor
from tests.site import tasks
from tests.support import finish, free_port, wait_until

pytestmark = pytest.mark.any_version

NOW = datetime(2026, 12, 24, tzinfo=UTC)
ERROR = ErrorReport("ValueError", "as asked")


@pytest.fixture
def only_word_of_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have rows looked at for ages only if the server says so."""
    monkeypatch.setattr(awaiting, "LONGEST_PAUSE", AGES)


Later = Callable[..., None]


@pytest.fixture
def later() -> Iterator[Later]:
    """Return a function that has something done in a moment; the test ends when that is done."""
    timers: list[threading.Timer] = []

    def start(seconds: float, action: Callable[..., object], *arguments: object) -> None:
        timers.append(threading.Timer(seconds, action, arguments))
        timers[-1].start()

    yield start
    for timer in timers:
        timer.join()


# The listener's end


def claimed(task_id: int) -> Claimed:
    return Claimed(task_id, "shop.tasks.send", "", 0, 0, 0, None, False, 0.0, NOW, 1, 1)


def success(task_id: int) -> Success:
    return Success(claimed(task_id), NOW, NOW, None)


@pytest.fixture
def listener(port: int) -> Iterator[Listener]:
    """Return a listener at the port of the test."""
    listener = Listener("127.0.0.1", port, Control())
    listener.start()
    yield listener
    listener.stop()


def waiting_for(task_id: int | str, port: int) -> socket.socket:
    """Return a connection that asks to wait for a task."""
    connection = connect(port)
    connection.sendall(encode_word(f"wait-{task_id}"))
    return connection


def reads(connection: socket.socket, *replies: Reply) -> bool:
    """Tell whether these are the next words."""
    expected = b"".join(map(encode_reply, replies))
    heard = b""
    while len(heard) < len(expected) and (part := connection.recv(len(expected) - len(heard))):
        heard += part
    return heard == expected


class TestTheListenersEnd:
    """Who waits is told, and costs nobody else anything."""

    def test_tells_all_who_wait_when_a_task_is_finished(self, listener: Listener) -> None:
        with ExitStack() as stack:
            ones = [stack.enter_context(waiting_for(1, listener.port)) for _ in range(3)]
            other = stack.enter_context(waiting_for(2, listener.port))
            assert all(reads(each, WAITING) for each in (*ones, other))
            listener.stored([success(3), success(1)])
            assert all(reads(each, FINISHED) for each in ones)
            for each in ones:
                assert each.recv(1) == b""
            listener.stored([success(2)])
            assert reads(other, FINISHED)

    @pytest.mark.parametrize(
        "outcome",
        [
            success(1),
            Failure(claimed(1), NOW, NOW, ERROR),
            Crash(claimed(1), NOW, NOW, "died", max_crashes=1),
            cancelled(claimed(1), NOW, NOW, has_begun=True),
        ],
    )
    def test_tells_of_every_end(self, listener: Listener, outcome: Outcome) -> None:
        with waiting_for(1, listener.port) as connection:
            assert reads(connection, WAITING)
            listener.stored([outcome])
            assert reads(connection, FINISHED)

    @pytest.mark.parametrize(
        "outcome",
        [
            Retry(claimed(1), NOW, NOW, ERROR, 1),
            Crash(claimed(1), NOW, NOW, "died", max_crashes=3),
            Blocked(claimed(1), NOW, NOW, "smtp"),
        ],
    )
    def test_goes_on_waiting_where_the_task_does(
        self, listener: Listener, outcome: Outcome
    ) -> None:
        with waiting_for(1, listener.port) as connection:
            assert reads(connection, WAITING)
            listener.stored([outcome])
            with connect(listener.port) as another:
                another.sendall(encode_word("ping"))
                assert reads(another, Reply(True, "I'm OK"))
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)

    @pytest.mark.parametrize("text", ["", "x", "1x", "-1", "1-2", "1" * 20])
    def test_takes_digits_only(self, listener: Listener, text: str) -> None:
        with waiting_for(text, listener.port) as connection:
            assert b"unknown command" in connection.recv(1024)

    @pytest.mark.parametrize("words", [b"leek/1 wait-1\n", b"leek/1 hint\n", b"\n", b"x" * 600])
    def test_parts_with_who_says_more(self, listener: Listener, words: bytes) -> None:
        with waiting_for(1, listener.port) as connection:
            assert reads(connection, WAITING)
            connection.sendall(words)
            await_end(connection)
        wait_until(lambda: not listener._audience.deadlines, "the end of the connection")
        listener.stored([success(1)])

    def test_is_no_answer_to_a_challenge(self, listener: Listener) -> None:
        with connect(listener.port) as connection, connection.makefile("rb") as lines:
            connection.sendall(encode_word("stop") + encode_word("wait-1"))
            assert b"null" in lines.readline()
            assert b"wrong secret" in lines.readline()

    def test_forgets_who_is_gone(self, listener: Listener) -> None:
        for _ in range(3):
            with waiting_for(1, listener.port) as connection:
                assert reads(connection, WAITING)
            wait_until(lambda: not listener._audience._attending, "the end of the connection")
        assert not listener._audience.deadlines

    def test_parts_with_who_waits_too_long(
        self, listener: Listener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audience, "LONGEST_ATTENDANCE", 0.05)
        with waiting_for(1, listener.port) as connection:
            assert reads(connection, WAITING)
            await_end(connection)

    def test_refuses_who_is_one_too_many_and_nobody_else(
        self, listener: Listener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audience, "MOST_ATTENDING", 20)
        with ExitStack() as stack:
            crowd = [stack.enter_context(waiting_for(1, listener.port)) for _ in range(20)]
            assert all(reads(each, WAITING) for each in crowd)
            with waiting_for(1, listener.port) as one_more:
                await_end(one_more)
            with connect(listener.port) as asker:
                asker.sendall(encode_word("ping"))
                assert reads(asker, Reply(True, "I'm OK"))
            listener.stored([success(1)])
            assert all(reads(each, FINISHED) for each in crowd)
        with waiting_for(1, listener.port) as again:
            assert reads(again, WAITING)

    def test_lets_go_of_all_at_a_stop(self, port: int) -> None:
        listener = Listener("127.0.0.1", port, Control())
        listener.start()
        with waiting_for(1, port) as connection:
            assert reads(connection, WAITING)
            listener.stop()
            assert connection.recv(1) == b""
        listener.stored([success(1)])


# With a real server


class TestWithAServer:
    """The server's word comes when the outcome is stored."""

    @pytest.mark.usefixtures("only_word_of_servers")
    def test_waits_for_the_word_of_the_server(
        self, start_server: StartServer, later: Later, tmp_path: Path
    ) -> None:
        start_server()
        gate = tmp_path / "gate"
        row = push_task_to_queue(tasks.wait_for, str(gate))
        wait_until(Path(f"{gate}.begun").exists)
        later(0.1, gate.touch)
        assert row.wait(60) is None
        for number in range(20):
            assert push_task_to_queue(tasks.add, 1, number).wait(60) == number + 1

    @pytest.mark.usefixtures("only_word_of_servers")
    def test_sees_what_was_finished_before(self, start_server: StartServer) -> None:
        start_server()
        row = push_task_to_queue(tasks.add, 1, 2)
        wait_until(lambda: QueuedTasks.objects.get(pk=row.pk).is_finished)
        assert row.wait(60) == 3

    @pytest.mark.logs_errors
    @pytest.mark.usefixtures("only_word_of_servers")
    def test_hears_of_failures(self, start_server: StartServer) -> None:
        start_server(LEEK_RETRY_DELAY="0.01")
        row = push_task_to_queue(tasks.fail)
        with pytest.raises(TaskFailed, match="as asked"):
            row.wait(60)
        assert row.tries == 3

    @pytest.mark.usefixtures("only_word_of_servers")
    def test_hears_of_cancelled_tasks(
        self, start_server: StartServer, later: Later, tmp_path: Path
    ) -> None:
        start_server()
        row = push_task_to_queue(tasks.never_end, str(tmp_path / "gate"))
        wait_until(Path(tmp_path / "gate.begun").exists)
        later(0.1, cancel_in_thread, row.pk)
        with pytest.raises(TaskFailed, match="cancelled while it ran"):
            row.wait(60)

    @pytest.mark.usefixtures("only_word_of_servers")
    def test_is_awaited_by_many_in_one_loop(self, start_server: StartServer) -> None:
        start_server()
        rows = push_many([(tasks.add_slowly, (1, number), {}) for number in range(40)])

        async def results() -> list[int]:
            return list(await asyncio.gather(*(row.aresult(60) for row in rows)))

        assert async_to_sync(results)() == list(range(1, 41))

    def test_sees_what_another_server_has_run(self, start_server: StartServer) -> None:
        start_server("--queues", "other")
        start_server(port=free_port())
        assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3

    def test_outlives_the_server(
        self, start_server: StartServer, later: Later, tmp_path: Path
    ) -> None:
        server = start_server()
        row = push_task_to_queue(tasks.never_end, str(tmp_path / "gate"))
        wait_until(Path(tmp_path / "gate.begun").exists)
        later(0.2, server.kill)
        with pytest.raises(TimeoutError, match="was not finished"):
            row.wait(0.5)
        assert not row.is_finished

    def test_takes_no_longer_than_asked_for_with_a_server_that_stands_still(
        self, start_server: StartServer
    ) -> None:
        server = start_server()
        assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
        server.freeze()
        row = push_task_to_queue(tasks.add, 1, 2)
        with pytest.raises(TimeoutError):
            row.wait(0.3)
        with pytest.raises(TimeoutError):
            async_to_sync(row.aresult)(0.3)
        server.thaw()
        assert row.wait(60) == 3

    def test_asks_a_server_that_comes_later(
        self, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(awaiting, "ASK_AGAIN", 0.0)
        monkeypatch.setattr(hinting, "REFUSED_PAUSE", 0.0)
        start_server("--queues", "other", port=free_port())  # so that the tables are there
        row = push_task_to_queue(tasks.add, 1, 2)
        with pytest.raises(TimeoutError):
            row.wait(0.1)
        start_server()
        monkeypatch.setattr(awaiting, "LONGEST_PAUSE", AGES)
        assert row.wait(60) == 3


def cancel_in_thread(task_id: int) -> None:
    """Cancel a task, with connections of this thread."""
    QueuedTasks.objects.get(pk=task_id).cancel()
    connections.close_all()


# Without a server, or with somebody else in its place


def finish_in_thread(row: QueuedTasks) -> None:
    """Finish a task, with connections of this thread."""
    finish([row])
    connections.close_all()


@pytest.mark.django_db(transaction=True)
class TestWithoutAServer:
    """The row is looked at again and again."""

    def test_sees_the_end(self, port: int, later: Later) -> None:
        row = push_task_to_queue(tasks.noop)
        later(0.1, finish_in_thread, row)
        assert row.wait(60) is None

    def test_sees_the_end_in_a_loop(self, port: int, later: Later) -> None:
        row = push_task_to_queue(tasks.noop)
        later(0.1, finish_in_thread, row)
        assert async_to_sync(row.aresult)(60) is None

    @pytest.mark.parametrize("timeout", [0, 0.05])
    def test_gives_up_in_time(self, port: int, timeout: float) -> None:
        row = push_task_to_queue(tasks.noop)
        with pytest.raises(TimeoutError, match=rf"{row.pk} .* was not finished in {timeout} s"):
            row.wait(timeout)
        with pytest.raises(TimeoutError, match=rf"{row.pk} .* was not finished in {timeout} s"):
            async_to_sync(row.aresult)(timeout)

    def test_learns_of_a_black_hole_once(self, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hinting, "FIRST_PAUSE", AGES)
        monkeypatch.setattr(hinting, "LONGEST_PAUSE", AGES)
        monkeypatch.setenv("LEEK_HINT_TIMEOUT", "0.01")
        tries: list[float] = []

        def time_out(host: str, port: int, timeout: float) -> socket.socket:
            tries.append(timeout)
            raise TimeoutError

        monkeypatch.setattr(hinting, "connect", time_out)
        QueuedTasks.objects.bulk_create([_row()])
        row = QueuedTasks.objects.get()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                row.wait(0.05)
        push_task_to_queue(tasks.noop)  # whose hint knows it as well
        assert len(tries) == 1
        assert tries[0] <= 0.01

    def test_blames_no_server_for_its_own_haste(
        self, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tries: list[float] = []

        def time_out(host: str, port: int, timeout: float) -> socket.socket:
            tries.append(timeout)
            raise TimeoutError

        monkeypatch.setattr(hinting, "connect", time_out)
        QueuedTasks.objects.bulk_create([_row()])
        with pytest.raises(TimeoutError):
            QueuedTasks.objects.get().wait(0.02)
        assert hinting.hinter._silent_until == 0
        assert all(timeout <= 0.02 for timeout in tries)


def _row() -> QueuedTasks:
    """Return a task that nobody was told of."""
    return QueuedTasks(name="tests.site.tasks.noop", run_after=NOW, pushed_at=NOW)


def lie(connection: socket.socket) -> None:
    """Say at once that the task is finished."""
    connection.sendall(encode_reply(WAITING) + encode_reply(FINISHED))


def lie_for_ever(connection: socket.socket) -> None:
    """Say again and again that there is something to wait for."""
    while True:
        connection.sendall(encode_reply(WAITING))


def be_of_an_older_version(connection: socket.socket) -> None:
    """Answer as a server does that knows nothing of waiting."""
    connection.recv(1024)
    connection.sendall(encode_reply(Reply(False, "unknown command wait-1")))


def register_only(connection: socket.socket) -> None:
    """Promise to tell of the end, and do not."""
    connection.sendall(encode_reply(WAITING))
    with suppress(OSError):
        while connection.recv(1024):
            pass


STRANGERS: dict[str, Behaviour] = {name: behaviour for name, (behaviour, *_) in ODD.items()} | {
    "a liar": lie,
    "a persistent liar": lie_for_ever,
    "an older version": be_of_an_older_version,
    "a promise": register_only,
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", STRANGERS)
class TestWithAStranger:
    """Whatever somebody else says at the server's port, it does no harm."""

    @pytest.fixture
    def row(self, name: str, port: int) -> Iterator[QueuedTasks]:
        """Return the row of a task that nobody runs."""
        self.calls = 0

        def count_and_behave(connection: socket.socket) -> None:
            self.calls += 1
            STRANGERS[name](connection)

        QueuedTasks.objects.bulk_create([_row()])
        impostor = Impostor(port, count_and_behave)
        yield QueuedTasks.objects.get()
        hinting.hinter.close()
        impostor.close()

    def test_is_not_believed(self, row: QueuedTasks) -> None:
        with pytest.raises(TimeoutError):
            row.wait(0.1)
        assert self.calls <= 1

    def test_is_not_believed_in_a_loop(self, row: QueuedTasks) -> None:
        with pytest.raises(TimeoutError):
            async_to_sync(row.aresult)(0.1)
        assert self.calls <= 1

    def test_hides_no_end(self, row: QueuedTasks, later: Later) -> None:
        later(0.05, finish_in_thread, row)
        assert row.wait(60) is None


def test_the_question_is_as_documented() -> None:
    assert encode_word(about_task("wait", 4711)) == b"leek/1 wait-4711\n"
    assert encode_reply(WAITING) == b'leek/1 [null, "waiting"]\n'
    assert encode_reply(FINISHED) == b'leek/1 [true, "finished"]\n'
