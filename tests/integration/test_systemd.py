"""What systemd is told of a server, received as systemd does: by a datagram socket."""

import logging
import os
import secrets
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue

import pytest
from django.db import connection

from leek.api import push_task_to_queue
from leek.server.systemd import LONGEST_SILENCE, Systemd
from tests.conftest import StartServer
from tests.faults.troubles import locked_table
from tests.site import tasks
from tests.support import GIVE_UP_AFTER, manage, wait_until

SOON = "200000"  # microseconds: a sign of life is due every 0.1 s
VARIABLES = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}


class Manager:
    """Listens as systemd does: all the time, as the system keeps only a few messages for it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._messages: SimpleQueue[str] = SimpleQueue()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0"))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while message := self._socket.recv(4096):
            self._messages.put(message.decode())

    def next(self) -> list[str]:
        """Return the assignments of the next message."""
        return self._messages.get(timeout=GIVE_UP_AFTER).split("\n")

    def until(self, assignment: str) -> list[list[str]]:
        """Return the messages up to the one with this assignment."""
        messages = [self.next()]
        while assignment not in messages[-1]:
            messages.append(self.next())
        return messages

    def close(self) -> None:
        """Stop listening."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


@pytest.fixture
def manager() -> Iterator[Manager]:
    """Return one that listens at a name in the abstract namespace."""
    with closing(Manager(f"@leek-tests-{secrets.token_hex(8)}")) as listening:
        yield listening


def has_word_of(message: list[str], word: str) -> bool:
    """Tell whether a message has an assignment to this word."""
    return any(assignment.startswith(f"{word}=") for assignment in message)


class TestTheMessages:
    """Each is a datagram with an assignment a line."""

    def test_go_to_a_path_as_well_as_to_a_name(self, manager: Manager) -> None:
        path = str(Path(tempfile.gettempdir()) / "notify")
        with closing(Manager(path)) as at_a_path:
            for listening in (manager, at_a_path):
                Systemd({"NOTIFY_SOCKET": listening.address}).ready("Running tasks")
                assert listening.next() == ["READY=1", "STATUS=Running tasks"]

    def test_ask_for_time_until_the_start_is_over(self, manager: Manager) -> None:
        systemd = Systemd({"NOTIFY_SOCKET": manager.address})
        systemd.alive()
        assert has_word_of(manager.next(), "EXTEND_TIMEOUT_USEC")
        assert systemd.interval == LONGEST_SILENCE
        systemd.ready("Running tasks")
        assert systemd.interval is None
        systemd.alive()
        systemd.stopping()
        assert [message[0] for message in manager.until("STOPPING=1")] == ["READY=1", "STOPPING=1"]

    @pytest.mark.parametrize("process", [{}, {"WATCHDOG_PID": str(os.getpid())}])
    def test_are_signs_of_life_at_half_the_interval_of_the_watchdog(
        self, manager: Manager, process: dict[str, str]
    ) -> None:
        systemd = Systemd(
            {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "30000000", **process}
        )
        assert systemd.interval == 15
        systemd.ready("Running tasks")
        assert systemd.interval == 15
        systemd.alive()
        assert manager.until("WATCHDOG=1")[-1] == ["WATCHDOG=1"]

    @pytest.mark.parametrize(
        "watchdog",
        [
            {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"},
            {"WATCHDOG_USEC": "0"},
            {"WATCHDOG_USEC": "soon"},
        ],
    )
    def test_are_no_signs_of_life_without_a_watchdog_of_this_process(
        self, manager: Manager, watchdog: dict[str, str]
    ) -> None:
        systemd = Systemd({"NOTIFY_SOCKET": manager.address, **watchdog})
        systemd.alive()
        assert "WATCHDOG=1" not in manager.next()

    @pytest.mark.parametrize(
        "address", ["nonsense", "vsock:2:1", "@nobody-listens-here", "/nowhere", "/" + 999 * "x"]
    )
    def test_that_nobody_gets_cost_one_warning_in_all(
        self, address: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": SOON})
        for _ in range(3):
            systemd.alive()
            systemd.ready("Running tasks")
            systemd.stopping()
        assert [record.levelno for record in caplog.records] == [logging.WARNING]

    def test_are_none_where_there_is_no_systemd(self, caplog: pytest.LogCaptureFixture) -> None:
        systemd = Systemd({})
        systemd.alive()
        systemd.ready("Running tasks")
        assert systemd.interval is None
        assert not caplog.records


class TestAServer:
    """A real one, with a watchdog that wants signs of life often."""

    def test_is_ready_when_it_runs_tasks_and_stops_as_soon_as_it_is_asked(
        self, start_server: StartServer, manager: Manager, tmp_path: Path
    ) -> None:
        server = start_server(wait=False, NOTIFY_SOCKET=manager.address, WATCHDOG_USEC=SOON)
        ready = manager.until("READY=1")[-1]
        assert ready == ["READY=1", f"STATUS=Running tasks, listening at port {server.port}"]
        gate = tmp_path / "gate"
        row = push_task_to_queue(tasks.wait_for, str(gate))
        wait_until(Path(f"{gate}.begun").exists)
        server.process.terminate()
        manager.until("STOPPING=1")
        for _ in range(3):
            assert manager.next() == ["WATCHDOG=1"]
        gate.touch()
        assert server.wait() == 0
        row.wait(60)

    @pytest.mark.logs_errors
    def test_that_waits_for_its_database_asks_for_time(
        self, start_server: StartServer, manager: Manager, tmp_path: Path
    ) -> None:
        is_file = connection.vendor == "sqlite"
        name = str(tmp_path / "nowhere" / "db") if is_file else f"leek_nowhere_{os.getpid()}"
        server = start_server(
            wait=False,
            NOTIFY_SOCKET=manager.address,
            WATCHDOG_USEC=SOON,
            TESTS_DATABASE_NAME=name,
        )
        wait_until(lambda: "The database fails" in server.log)
        for _ in range(3):
            message = manager.next()
            assert message[0] == "WATCHDOG=1"
            assert has_word_of(message, "EXTEND_TIMEOUT_USEC")
            assert "STATUS=Starting: needs the database" in message
        server.process.terminate()
        assert not any("READY=1" in message for message in manager.until("STOPPING=1"))
        assert server.wait() == 0

    @pytest.mark.logs_errors
    def test_lives_while_its_database_does_not_answer(
        self, start_server: StartServer, manager: Manager
    ) -> None:
        start_server(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC=SOON)
        manager.until("READY=1")
        with locked_table():
            for _ in range(10):
                assert manager.next() == ["WATCHDOG=1"]
        push_task_to_queue(tasks.noop).wait(60)

    def test_whose_worker_alone_is_stopped_goes_on(
        self, start_server: StartServer, manager: Manager
    ) -> None:
        server = start_server(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="30000000")
        manager.until("READY=1")
        assert manage("leek_stop", "--worker-only").returncode == 0
        before = manager.until("STATUS=Worker off, as leek_stop asked")
        assert not any("STOPPING=1" in message for message in before)
        manager.until("WATCHDOG=1")
        server.process.terminate()
        manager.until("STOPPING=1")
        assert server.wait() == 0

    def test_lets_no_program_of_a_task_speak_in_its_name(
        self, start_server: StartServer, manager: Manager
    ) -> None:
        start_server(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="30000000", WATCHDOG_PID="4711")
        printed = push_task_to_queue(subprocess.check_output, ["env"], text=True).wait(60)
        names = {line.partition("=")[0] for line in printed.splitlines()}
        assert "PATH" in names
        assert not names & VARIABLES

    def test_works_also_where_nobody_can_be_told(self, start_server: StartServer) -> None:
        server = start_server(NOTIFY_SOCKET="/nowhere", WATCHDOG_USEC=SOON)
        assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
        assert server.terminate() == 0
        assert server.log.count("systemd cannot be told how this server is") == 1
