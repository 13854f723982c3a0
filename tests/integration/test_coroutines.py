"""Async tasks, which run beside each other in one server."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from leek.api import push_many, push_task_to_queue
from leek.exceptions import TaskFailed
from leek.models import QueuedTasks, Servers, State, SuccessTasks
from tests.conftest import StartServer
from tests.site import tasks
from tests.site.models import Runs
from tests.support import ROOT, LeekServer, manage, wait_until

# A site whose server takes the time between two async tasks for a long rest if it is longer.
LONGEST_REST = """
from leek.server import loop
from tests.settings import *

loop.IDLE_TOO_LONG = {}
"""

MANY = 100  # as many as run at once by default

on_servers = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has no connections to lose"
)


def waiting_at(*gates: Path) -> list[QueuedTasks]:
    """Push an async task for each gate, and wait until all run."""
    rows = push_many([(tasks.wait_slowly, (str(gate),), {}) for gate in gates])
    for gate in gates:
        has_begun(gate)
    return rows


def has_begun(gate: Path) -> None:
    """Wait until the task at this gate runs."""
    wait_until(Path(f"{gate}.begun").exists, f"the start at {gate}")


def answer(server: LeekServer, question: str) -> str:
    """Return what a server answers."""
    told = manage("leek_status", question, LEEK_TASKS_PORT=str(server.port))
    return told.stdout.splitlines()[1].removeprefix("Received: ")


class TestSideBySide:
    """How many run at once."""

    def test_as_many_as_the_limit_run_at_once_with_one_worker(
        self, start_server: StartServer
    ) -> None:
        rows = push_many([(tasks.meet, (MANY,), {})] * MANY)
        server = start_server("--workers", "1")
        assert [row.wait(60) for row in rows] == [MANY] * MANY
        assert {row.tries for row in rows} == {1}
        assert answer(server, "handled") == f"(True, {MANY})"

    def test_a_sync_task_is_not_held_up(self, start_server: StartServer, tmp_path: Path) -> None:
        start_server("--workers", "1")
        gates = [tmp_path / name for name in "abc"]
        rows = waiting_at(*gates)
        assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
        for gate in gates:
            gate.touch()
        for row in rows:
            row.wait(60)

    def test_a_further_one_waits_until_one_of_the_limit_ends(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        first, second, third = (tmp_path / name for name in "abc")
        server = start_server("--workers", "1", LEEK_ASYNC_LIMIT="2")
        one, two = waiting_at(first, second)
        three = push_task_to_queue(tasks.wait_slowly, str(third))
        wait_until(QueuedTasks.objects.running().filter(pk=three.pk).exists, "the claim")
        wait_until(lambda: answer(server, "waiting") == "(True, 1)", "the Worker to have it")
        assert not Path(f"{third}.begun").exists()
        second.touch()
        has_begun(third)
        assert not two.wait(60)
        first.touch()
        third.touch()
        assert one.wait(60) is three.wait(60) is None

    def test_several_workers_share_one_limit(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        first, second = (tmp_path / name for name in "ab")
        server = start_server("--workers", "3", LEEK_ASYNC_LIMIT="1")
        waiting_at(first)
        push_many([(tasks.wait_slowly, (str(second),), {})] * 2)
        wait_until(lambda: answer(server, "waiting") == "(True, 2)")
        assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3  # by the third Worker
        assert not Path(f"{second}.begun").exists()
        first.touch()
        second.touch()

    def test_one_left_in_the_server_is_no_reason_to_stop(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        server = start_server("--drain", wait=False, LEEK_POLL_INTERVAL="0.05", LEEK_LEASE="3")
        waiting_at(gate)
        push_task_to_queue(tasks.add, 1, 2).wait(60)
        looks = Servers.objects.get().expires_at
        wait_until(Servers.objects.filter(expires_at__gt=looks).exists, "a while")
        assert not server.ended
        gate.touch()
        assert server.wait() == 0
        assert SuccessTasks.objects.count() == 2

    def test_max_tasks_counts_them(self, start_server: StartServer) -> None:
        push_many([(tasks.add_slowly, (1, 2), {})] * 30)
        server = start_server("--max-tasks", "20", wait=False)
        assert server.wait() == 0
        assert SuccessTasks.objects.count() == 20
        assert QueuedTasks.objects.ready().count() == 10


class TestOutcomes:
    """One ends as a sync task does."""

    def test_it_is_tried_again_until_it_succeeds(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server(LEEK_RETRY_DELAY="0.01")
        row = push_task_to_queue(tasks.fail_slowly, str(tmp_path / "tries"), 3)
        assert row.wait(60) == 3
        assert row.tries == 3

    @pytest.mark.logs_errors
    def test_it_fails_with_its_last_error(self, start_server: StartServer, tmp_path: Path) -> None:
        server = start_server(LEEK_RETRY_DELAY="0.01", LEEK_MAX_RETRIES="2")
        row = push_task_to_queue(tasks.fail_slowly, str(tmp_path / "tries"), 9)
        with pytest.raises(TaskFailed, match="ValueError: try 2") as caught:
            row.wait(60)
        assert "in fail_slowly" in caught.value.traceback
        assert "leek/server" not in caught.value.traceback
        told = f"Task {row.pk} tests.site.tasks.fail_slowly failed for good"
        wait_until(lambda: told in server.log, "the record of its end")

    @pytest.mark.logs_errors
    def test_it_is_interrupted_when_it_runs_too_long(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server(LEEK_TIMEOUT="0.2", LEEK_MAX_RETRIES="1")
        row = push_task_to_queue(tasks.never_end, str(tmp_path / "gate"))
        with pytest.raises(TaskFailed, match=r"it ran longer than 0\.2 s") as caught:
            row.wait(60)
        assert caught.value.type == "leek.exceptions.TaskTimeout"

    @pytest.mark.logs_errors
    @pytest.mark.parametrize("a_callable", [tasks.raise_slowly, tasks.raise_in_a_task])
    @pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
    def test_it_fails_alone_whatever_it_raises(
        self, start_server: StartServer, a_callable: Callable[..., object], name: str
    ) -> None:
        server = start_server(LEEK_MAX_RETRIES="1")
        row = push_task_to_queue(a_callable, name)
        with pytest.raises(TaskFailed, match=name):
            row.wait(60)
        assert push_task_to_queue(tasks.add_slowly, 1, 2).wait(60) == 3
        assert server.terminate() == 0

    @pytest.mark.logs_errors
    def test_it_fails_when_it_is_cancelled_by_itself(self, start_server: StartServer) -> None:
        start_server(LEEK_MAX_RETRIES="1")
        row = push_task_to_queue(tasks.cancel_itself, wait=True)
        with pytest.raises(TaskFailed, match="CancelledError"):
            row.wait(60)

    def test_it_succeeds_when_that_comes_too_late(self, start_server: StartServer) -> None:
        start_server()
        assert push_task_to_queue(tasks.cancel_itself, wait=False).wait(60) == 5

    def test_it_takes_along_what_it_has_left_running(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server()
        push_task_to_queue(tasks.leave_a_task_running, str(tmp_path / "left")).wait(60)
        has_begun(tmp_path / "left")  # it was cancelled

    def test_it_leaves_no_trace_in_the_context_of_the_next(self, start_server: StartServer) -> None:
        start_server()
        first = push_task_to_queue(tasks.change_context, "de").wait(60)
        assert first == ["as it was", "en-us"] * 2
        assert push_task_to_queue(tasks.change_context, "fr").wait(60) == first

    def test_no_child_of_one_becomes_a_server(self, start_server: StartServer) -> None:
        start_server()
        assert push_task_to_queue(tasks.let_a_child_return_slowly, 3).wait(60) == 1
        assert push_task_to_queue(tasks.add_slowly, 1, 2).wait(60) == 3
        assert Servers.objects.count() == 1


class TestTheStop:
    """Nothing is lost, and nothing waiting is started."""

    def test_lets_end_what_runs_and_gives_back_what_waits(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        server = start_server(LEEK_ASYNC_LIMIT="1")
        running = push_task_to_queue(tasks.wait_slowly, str(gate), "ran")
        has_begun(gate)
        waiting = push_many([(tasks.record_slowly, ("too soon",), {})] * 2)
        wait_until(lambda: answer(server, "waiting") == "(True, 2)")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "Stopping" in server.log)
        gate.touch()
        assert server.wait() == 0
        assert not running.wait(60)
        assert list(Runs.objects.values_list("tag", flat=True)) == ["ran"]
        left = QueuedTasks.objects.filter(pk__in=[row.pk for row in waiting])
        assert {(row.state, row.tries, row.owner_id) for row in left} == {(State.READY, 0, None)}
        assert not Servers.objects.exists()

    @pytest.mark.parametrize("a_callable", [tasks.wait_slowly, tasks.ignore_cancellation])
    def test_gives_back_at_no_cost_what_outlives_the_deadline(
        self, start_server: StartServer, tmp_path: Path, a_callable: Callable[..., object]
    ) -> None:
        server = start_server("--shutdown-timeout", "0.1")
        gates = [tmp_path / name for name in "ab"]
        rows = push_many([(a_callable, (str(gate),), {}) for gate in gates])
        for gate in gates:
            has_begun(gate)
        assert server.terminate() == 0
        for row in rows:
            assert f"Task {row.pk} still runs at the deadline" in server.log
            row.refresh_from_db()
            assert (row.state, row.tries, row.crashes, row.owner_id) == (State.READY, 0, 0, None)
        assert "failed" not in server.log

    def test_comes_at_once_with_a_second_signal(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        server = start_server("--shutdown-timeout", "3600")
        (row,) = waiting_at(tmp_path / "gate")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "Stopping" in server.log)
        assert server.terminate() == 0
        row.refresh_from_db()
        assert (row.state, row.tries) == (State.READY, 0)

    def test_of_an_idle_server_comes_at_once(self, start_server: StartServer) -> None:
        server = start_server("--shutdown-timeout", "3600")
        push_task_to_queue(tasks.record_slowly, "one").wait(60)
        assert server.terminate() == 0
        assert json.loads(manage("leek_status", "--json").stdout)["running"] == 0


class TestConnections:
    """The database's connection of async tasks."""

    def test_a_transaction_left_open_is_undone(self, start_server: StartServer) -> None:
        start_server()
        push_task_to_queue(tasks.leave_transaction_open_slowly).wait(60)
        push_task_to_queue(tasks.record_slowly, "after").wait(60)
        assert Runs.objects.filter(tag="after").exists()

    def test_keeps_no_query_log_in_debug_mode(self, start_server: StartServer) -> None:
        start_server(TESTS_DEBUG="1")
        push_task_to_queue(tasks.query_log_length_slowly).wait(60)
        assert push_task_to_queue(tasks.query_log_length_slowly).wait(60) == 0

    @on_servers
    def test_is_kept_from_task_to_task(self, start_server: StartServer) -> None:
        start_server()
        rows = push_many([(tasks.connection_number, (), {})] * 20)
        assert len({row.wait(60) for row in rows}) == 1

    @on_servers
    def test_that_was_killed_costs_one_try_and_is_replaced(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server(LEEK_RETRY_DELAY="0.01", **settings_with(tmp_path, longest_rest=3600.0))
        killed = kill(push_task_to_queue(tasks.connection_number).wait(60))
        row = push_task_to_queue(tasks.connection_number)
        assert row.wait(60) != killed
        assert row.tries == 2

    @on_servers
    def test_that_was_killed_during_a_rest_costs_nothing(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server(**settings_with(tmp_path, longest_rest=0.0))
        killed = kill(push_task_to_queue(tasks.connection_number).wait(60))
        row = push_task_to_queue(tasks.connection_number)
        assert row.wait(60) != killed
        assert row.tries == 1


def settings_with(folder: Path, *, longest_rest: float) -> dict[str, str]:
    """Write the settings of a site with this longest rest; return what leads a server there."""
    (folder / "resting_settings.py").write_text(LONGEST_REST.format(longest_rest))
    paths = os.pathsep.join([str(ROOT), str(folder)])
    return {"DJANGO_SETTINGS_MODULE": "resting_settings", "PYTHONPATH": paths}


def kill(number: int) -> int:
    """Kill a connection of the database, and return its number when it is gone."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_terminate_backend(%s, 60000)", [number])
        else:
            cursor.execute(f"KILL {number}")
    wait_until(lambda: number not in connection_numbers(), "the end of the connection")
    return number


def connection_numbers() -> set[int]:
    """Return the numbers of all connections that the database has."""
    table, column = (
        ("pg_stat_activity", "pid")
        if connection.vendor == "postgresql"
        else ("information_schema.processlist", "id")
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {table}")
        return {number for (number,) in cursor.fetchall()}
