"""Stops of all kinds, at the wrong moment too: each ends with 0 and leaves nothing claimed."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection

from leek import client
from leek.api import push_task_to_queue
from leek.conf import DEFAULTS
from leek.exceptions import ServerUnreachable
from leek.models import QueuedTasks, Servers, State, Status
from leek.protocol import Reply
from leek.server import pool
from tests.conftest import StartServer
from tests.faults.troubles import locked_table
from tests.site import tasks
from tests.site.models import Runs
from tests.support import (
    ROOT,
    STORES_ALL,
    LeekServer,
    environment,
    free_port,
    manage,
    wait_until,
)

GRACE_OF_DOCKER = 10.0  # seconds from `docker stop` to SIGKILL, if nobody says otherwise
SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])

# A site whose server gets SIGTERM at the very moment in which its row is stored.
STOPPED_AS_IT_REGISTERS = """
import os
import signal
import threading

from django.db.backends.signals import connection_created

from tests.settings import *


def stop_at_the_row(execute, sql, params, many, context):
    result = execute(sql, params, many, context)
    if sql.startswith("INSERT INTO") and "leek_servers" in sql:
        os.kill(os.getpid(), signal.SIGTERM)
        registration = threading.current_thread()._target.__self__
        registration.stopping.wait()  # until the main thread has heard of it
    return result


def watch(connection, **_):
    connection.execute_wrappers.append(stop_at_the_row)


connection_created.connect(watch)
"""

# A site whose server leads a process group, as one does that a shell or systemd has started.
LEADING_A_GROUP = """
import os

from tests.settings import *

os.setpgid(0, 0)
"""

# Programs that say by a file that they run, and end when the file "$0" is there: of the signal
# they have got meanwhile, if there was one, unless they are deaf.
PROGRAM = 'touch "$0.begun"; until [ -e "$0" ]; do sleep 0.05; done'
MORTAL_PROGRAM = f"trap 'got=INT' INT; trap 'got=TERM' TERM; {PROGRAM}; trap - $got; kill -$got $$"
DEAF_PROGRAM = f"trap '' INT TERM; {PROGRAM}"


def with_settings(folder: Path, text: str) -> dict[str, str]:
    """Return what gives a server these settings."""
    (folder / "special_settings.py").write_text(text)
    paths = os.pathsep.join([str(ROOT), str(folder)])
    return {"DJANGO_SETTINGS_MODULE": "special_settings", "PYTHONPATH": paths}


def running(gate: Path, a_callable: Callable[..., object], *arguments: object) -> QueuedTasks:
    """Push a task that says by a file beside its gate that it runs, and wait until it does."""
    row = push_task_to_queue(a_callable, *arguments)
    wait_until(Path(f"{gate}.begun").exists, f"the start of {row}")
    return row


def wait_until_stopping(server: LeekServer) -> None:
    """Wait until the server lets its running tasks end."""
    wait_until(lambda: "Stopping" in server.log, "the stop")


def says_worker_off() -> bool:
    """Tell whether a server answers whose Worker is off."""
    with suppress(ServerUnreachable):
        return client.ask("ping") == Reply(False, "Worker Off")
    return False


def start_command(name: str, *arguments: str) -> "subprocess.Popen[str]":
    """Start a management command that takes its time."""
    return subprocess.Popen(
        [sys.executable, "-m", "django", name, *arguments],
        env=environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def mute_database() -> Iterator[dict[str, str]]:
    """Give what has a server work on a database that does not answer at all."""
    if connection.vendor == "sqlite":
        with locked_table():
            yield {}
        return
    scheme = {"postgresql": "postgres"}.get(connection.vendor, connection.vendor)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield {"DATABASE_URL": f"{scheme}://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing"}


class TestDuringTheStart:
    """The server has no Worker yet."""

    @pytest.mark.logs_errors
    @SIGNALS
    def test_a_server_ends_that_waits_for_a_database_to_be_there(
        self, start_server: StartServer, tmp_path: Path, number: int
    ) -> None:
        is_file = connection.vendor == "sqlite"
        name = str(tmp_path / "nowhere" / "db") if is_file else f"leek_nowhere_{os.getpid()}"
        server = start_server(wait=False, TESTS_DATABASE_NAME=name)
        wait_until(lambda: "The database fails" in server.log)
        server.process.send_signal(number)
        assert server.wait() == 0

    def test_a_server_ends_that_waits_for_its_database_to_answer(
        self, start_server: StartServer
    ) -> None:
        with mute_database() as extra:
            server = start_server(wait=False, **extra)
            wait_until(says_worker_off)
            assert server.terminate() == 0

    @pytest.mark.logs_errors
    def test_leek_stop_ends_a_server_that_waits_for_its_database(
        self, start_server: StartServer
    ) -> None:
        with mute_database() as extra:
            server = start_server(wait=False, **extra)
            wait_until(says_worker_off)
            stopped = manage("leek_stop", LEEK_TASKS_PORT=str(server.port))
            assert (stopped.returncode, stopped.stdout) == (0, "Server stopped.\n")
            assert server.wait() == 0

    def test_a_server_that_has_just_registered_leaves_no_row(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        row = push_task_to_queue(tasks.noop)
        extra = with_settings(tmp_path, STOPPED_AS_IT_REGISTERS)
        server = start_server(wait=False, **extra, **STORES_ALL)
        assert server.wait() == 0
        assert "is ready at" not in server.log
        assert not Servers.objects.exists()
        row.refresh_from_db()
        assert row.state == State.READY


class TestLeekStop:
    """The order that comes by the socket, and signals beside it."""

    def test_waits_until_what_runs_has_ended(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        server = start_server()
        gate = tmp_path / "gate"
        row = running(gate, tasks.wait_for, str(gate), "ran")
        with start_command("leek_stop") as stop:
            wait_until_stopping(server)
            gate.touch()
            assert stop.communicate()[0] == "Server stopped.\n"
        assert server.wait() == 0
        assert row.wait(60) is None
        assert not Servers.objects.exists()

    def test_of_the_worker_only_leaves_a_server_that_a_signal_ends(
        self, start_server: StartServer
    ) -> None:
        server = start_server()
        stopped = manage("leek_stop", "--worker-only", LEEK_TASKS_PORT=str(server.port))
        assert stopped.stdout == "Worker off.\n"
        assert says_worker_off()
        assert not Servers.objects.exists()
        waiting = push_task_to_queue(tasks.noop)
        assert server.terminate() == 0
        waiting.refresh_from_db()
        assert waiting.state == State.READY

    def test_of_the_worker_only_is_no_obstacle_to_a_signal_that_comes_meanwhile(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        server = start_server("--shutdown-timeout", "3600")
        gate = tmp_path / "gate"
        row = running(gate, tasks.wait_for, str(gate), "ran")
        with start_command("leek_stop", "--worker-only") as stop:
            wait_until_stopping(server)
            server.process.send_signal(signal.SIGTERM)
            gate.touch()
            assert stop.communicate()[0] == "Worker off.\n"
        assert server.wait() == 0
        row.refresh_from_db()
        assert row.status == Status.SUCCESSFUL


class TestASignalToTheWholeGroup:
    """Ctrl-C in a terminal, or KillMode=control-group: the programs that tasks run get it, too."""

    @SIGNALS
    def test_ends_the_programs_and_the_task_tells_how(
        self, start_server: StartServer, tmp_path: Path, number: int
    ) -> None:
        server = start_server(**with_settings(tmp_path, LEADING_A_GROUP))
        gate = tmp_path / "gate"
        row = running(gate, subprocess.run, ["sh", "-c", MORTAL_PROGRAM, str(gate)])
        waiting = push_task_to_queue(tasks.record, "too soon")
        os.killpg(server.process.pid, number)
        wait_until_stopping(server)  # it may get the signal later than its program
        gate.touch()
        assert server.wait() == 0
        assert row.wait(60).returncode == -number
        waiting.refresh_from_db()
        assert (waiting.state, waiting.tries) == (State.READY, 0)
        assert not Servers.objects.exists()

    def test_waits_no_longer_than_the_deadline_for_a_program_that_ignores_it(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        extra = with_settings(tmp_path, LEADING_A_GROUP)
        server = start_server("--shutdown-timeout", "0.1", **extra, **STORES_ALL)
        gate = tmp_path / "gate"
        row = running(gate, subprocess.run, ["sh", "-c", DEAF_PROGRAM, str(gate)])
        os.killpg(server.process.pid, signal.SIGTERM)
        try:
            assert server.wait() == 0
        finally:
            gate.touch()
        row.refresh_from_db()
        assert (row.state, row.tries, row.crashes, row.owner_id) == (State.READY, 0, 0, None)


@SIGNALS
def test_signals_that_come_to_the_very_end_change_nothing(
    start_server: StartServer, number: int
) -> None:
    server = start_server(**STORES_ALL)

    def ends_though_it_is_asked_again() -> bool:
        server.process.send_signal(number)
        return server.ended

    wait_until(ends_though_it_is_asked_again)
    assert server.wait() == 0
    assert not Servers.objects.exists()


@pytest.mark.logs_errors
def test_a_second_signal_also_ends_the_wait_for_the_database(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server("--shutdown-timeout", "1000")
    gate = tmp_path / "gate"
    row = running(gate, tasks.wait_for, str(gate))
    with locked_table():
        gate.touch()
        wait_until(lambda: f"Task {row.pk} tests.site.tasks.wait_for succeeded" in server.log)
        server.process.send_signal(signal.SIGTERM)
        wait_until_stopping(server)
        assert server.terminate() == 0
    assert "could not be stored in time" in server.log


def test_the_lease_lives_until_the_drain_is_over(start_server: StartServer, tmp_path: Path) -> None:
    lease = 2
    ending = start_server("--shutdown-timeout", "3600", LEEK_LEASE=str(lease))
    gate = tmp_path / "gate"
    row = running(gate, tasks.wait_for, str(gate), "ran")
    waiting = push_task_to_queue(tasks.record, "waited")
    ending.process.send_signal(signal.SIGTERM)
    wait_until_stopping(ending)
    own = Servers.objects.get(pid=ending.process.pid)
    start_server(port=free_port(), LEEK_LEASE=str(lease), LEEK_POLL_INTERVAL="0.05")
    waiting.wait(60)
    later = own.expires_at + timedelta(seconds=lease)
    wait_until(Servers.objects.filter(pk=own.pk, expires_at__gt=later).exists, "a longer lease")
    row.refresh_from_db()
    assert (row.state, row.owner_id) == (State.RUNNING, own.pk)
    gate.touch()
    assert ending.wait() == 0
    row.refresh_from_db()
    assert (row.status, row.owner_id, row.tries, row.crashes) == (
        Status.SUCCESSFUL,
        own.pk,
        1,
        0,
    )
    assert list(Runs.objects.order_by("pk").values_list("tag", flat=True)) == ["waited", "ran"]


def test_a_stop_fits_into_the_time_that_docker_gives() -> None:
    after_the_deadline = 2 * pool.LAST_MOMENT  # to store outcomes, and to resign
    assert DEFAULTS["SHUTDOWN_TIMEOUT"] + after_the_deadline < GRACE_OF_DOCKER
