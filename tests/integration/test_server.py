"""A real leek_server at work."""

import os
import random
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from leek.api import pause_queue, push_many, push_task_to_queue, resume_queue, using
from leek.exceptions import ResultNotStored, TaskFailed
from leek.models import FailedTasks, QueuedTasks, Servers, State, Status, SuccessTasks
from tests.conftest import StartServer
from tests.site import tasks
from tests.site.models import Runs
from tests.support import STORES_ALL, LeekServer, free_port, manage, wait_for_count, wait_until

RAISING_LOG_FILTER = """
from tests.settings import *

def refuse(record):
    raise TypeError("the site's log filter")

LOGGING = {
    "version": 1,
    "filters": {"refuse": {"()": lambda: refuse}},
    "loggers": {"leek": {"level": "DEBUG", "filters": ["refuse"]}},
}
"""


def finished(row: QueuedTasks) -> Callable[[], bool]:
    """Return a condition: this task is finished."""

    def condition() -> bool:
        row.refresh_from_db()
        return row.is_finished

    return condition


def blocked(row: QueuedTasks, gate: Path) -> None:
    """Wait until a task of `wait_for` runs."""
    wait_until(Path(f"{gate}.begun").exists, f"the start of {row}")


def order_of_runs() -> list[str]:
    """Return the tags in the order in which they were run."""
    return list(Runs.objects.order_by("pk").values_list("tag", flat=True))


class TestATask:
    """What becomes of one task."""

    @pytest.mark.parametrize(
        ("a_callable", "arguments", "result"),
        [
            (tasks.add, (1, 2), 3),
            (tasks.echo, ((1, {2}), b"3"), {"args": ((1, {2}), b"3"), "kwargs": {}}),
            (tasks.add_slowly, (1, 2), 3),
            (tasks.Calculator.double, (4,), 8),
            (tasks.PocketCalculator.name, (), "PocketCalculator"),
            (len, ("leek",), 4),
            (tasks.noop, (), None),
        ],
    )
    def test_returns_its_result(
        self,
        start_server: StartServer,
        a_callable: Callable[..., object],
        arguments: tuple[object, ...],
        result: object,
    ) -> None:
        start_server()
        row = push_task_to_queue(a_callable, *arguments)
        assert row.wait(60) == result
        assert row.status == Status.SUCCESSFUL
        assert row.tries == 1
        assert row.success.started_at <= row.success.finished_at

    @pytest.mark.logs_errors
    def test_fails_after_all_tries_with_its_last_error(self, start_server: StartServer) -> None:
        server = start_server(LEEK_RETRY_DELAY="0.01")
        row = push_task_to_queue(tasks.fail, "no ink")
        with pytest.raises(TaskFailed, match="ValueError: no ink") as caught:
            row.wait(60)
        assert row.tries == 3
        assert "in fail" in caught.value.traceback
        assert "leek/server" not in caught.value.traceback
        assert FailedTasks.objects.get().task_id == row.pk
        said = f"Task {row.pk} tests.site.tasks.fail failed"
        wait_until(lambda: server.log.count(said) == 3, "the records, which follow the outcomes")
        for attempt in (1, 2, 3):
            assert f"(attempt {attempt})" in server.log

    def test_is_tried_again_until_it_succeeds(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server(LEEK_RETRY_DELAY="0.01", LEEK_MAX_RETRIES="5")
        row = push_task_to_queue(tasks.fail_until, str(tmp_path / "tries"), 4)
        assert row.wait(60) == 4
        assert row.tries == 4
        assert not FailedTasks.objects.exists()

    @pytest.mark.logs_errors
    @pytest.mark.parametrize("a_callable", [tasks.leave, tasks.interrupt])
    def test_that_raises_a_base_exception_fails_alone(
        self, start_server: StartServer, a_callable: Callable[..., object]
    ) -> None:
        start_server(LEEK_MAX_RETRIES="1")
        row = push_task_to_queue(a_callable)
        after = push_task_to_queue(tasks.add, 1, 2)
        assert after.wait(60) == 3
        with pytest.raises(TaskFailed, match=r"SystemExit|KeyboardInterrupt"):
            row.wait(60)

    def test_that_waits_for_a_retry_holds_nobody_up(self, start_server: StartServer) -> None:
        start_server(LEEK_RETRY_DELAY="3600")
        failing = push_task_to_queue(tasks.fail)
        assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3

        def is_put_off() -> bool:
            failing.refresh_from_db()
            return failing.state == State.DEFERRED

        wait_until(is_put_off)
        assert failing.status == Status.READY

    def test_whose_result_cannot_be_stored_succeeds(self, start_server: StartServer) -> None:
        start_server()
        row = push_task_to_queue(tasks.unstorable)
        with pytest.raises(ResultNotStored, match="generator"):
            row.wait(60)
        assert row.status == Status.SUCCESSFUL

    @pytest.mark.logs_errors
    def test_with_a_damaged_payload_fails_alone(self, start_server: StartServer) -> None:
        row = push_task_to_queue(tasks.noop)
        QueuedTasks.objects.update(payload=row.payload.replace("noop", "leave"))
        start_server()
        assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
        with pytest.raises(TaskFailed, match="damaged"):
            row.wait(60)

    def test_that_does_not_import_is_parked_and_spends_no_try(
        self, start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        module = tmp_path / "of_the_next_release.py"
        module.write_text("def task():\n    return 'deployed'\n")
        import of_the_next_release  # type: ignore[import-not-found]

        module.rename(tmp_path / "hidden")
        server = start_server(PYTHONPATH=f"{Path(__file__).parents[2]}:{tmp_path}")
        row = push_task_to_queue(of_the_next_release.task)
        wait_until(lambda: "is parked" in server.log)
        (tmp_path / "hidden").rename(module)
        assert row.wait(60) == "deployed"
        assert row.tries == 1

    @pytest.mark.logs_errors
    def test_that_never_imports_fails_with_the_import_error(
        self, start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / "of_the_last_release.py").write_text("def task(): ...\n")
        import of_the_last_release  # type: ignore[import-not-found]

        start_server(LEEK_PARK_FOR="0")
        row = push_task_to_queue(of_the_last_release.task)
        with pytest.raises(TaskFailed, match="No module named 'of_the_last_release'"):
            row.wait(60)
        assert row.exception is not None
        assert row.exception.type == "ModuleNotFoundError"

    def test_is_pushed_by_another_task(self, start_server: StartServer) -> None:
        start_server()
        push_task_to_queue(push_task_to_queue, tasks.record, "from a task").wait(60)
        wait_until(lambda: order_of_runs() == ["from a task"])


class TestTheServer:
    """How tasks are picked."""

    def test_replays_what_was_pushed_while_it_was_down(self, start_server: StartServer) -> None:
        rows = push_many([(tasks.add, (number, 1), {}) for number in range(20)])
        start_server()
        assert [row.wait(60) for row in rows] == list(range(1, 21))

    def test_runs_in_order_of_priority_and_then_of_push(self, start_server: StartServer) -> None:
        for tag, priority in (("c", 0), ("e", -5), ("a", 50), ("d", 0), ("b", 50)):
            using(priority=priority).push(tasks.record, tag)
        start_server()
        wait_until(lambda: len(order_of_runs()) == 5)
        assert order_of_runs() == ["a", "b", "c", "d", "e"]

    def test_starts_the_urgent_first_behind_a_slow_task(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        server = start_server()
        push_task_to_queue(tasks.noop).wait(60)
        slow = push_task_to_queue(tasks.wait_for, str(tmp_path / "gate"))
        blocked(slow, tmp_path / "gate")
        for _ in range(3):
            push_task_to_queue(tasks.record, "later")
        using(priority=9).push(tasks.record, "urgent")
        # What is on its way from the database to the server is counted neither here nor there.
        place, four = {"LEEK_TASKS_PORT": str(server.port)}, "Sent: waiting\nReceived: (True, 4)\n"
        wait_until(lambda: manage("leek_status", "waiting", **place).stdout == four, "four")
        # What was claimed ahead, as the first task was fast, is given back: no worker takes it.
        wait_until(lambda: QueuedTasks.objects.ready().count() == 4, "the tasks to be given back")
        (tmp_path / "gate").touch()
        wait_until(lambda: len(order_of_runs()) == 4)
        assert order_of_runs() == ["urgent", "later", "later", "later"]

    def test_gives_back_what_it_claimed_ahead_of_a_slow_task(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server()
        push_many([(tasks.noop, (), {})] * 200)
        slow = push_task_to_queue(tasks.wait_for, str(tmp_path / "gate"))
        behind = push_many([(tasks.noop, (), {})] * 50)
        blocked(slow, tmp_path / "gate")
        wait_until(
            lambda: not QueuedTasks.objects.running().filter(pk__in=[r.pk for r in behind]),
            "the release",
        )
        (tmp_path / "gate").touch()
        behind[-1].wait(60)

    def test_runs_as_many_at_a_time_as_it_has_workers(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server("--workers", "3")
        gates = [tmp_path / name for name in ("a", "b", "c")]
        rows = [push_task_to_queue(tasks.wait_for, str(gate)) for gate in gates]
        for row, gate in zip(rows, gates, strict=True):
            blocked(row, gate)
        for gate in gates:
            gate.touch()
        for row in rows:
            row.wait(60)

    def test_serves_the_queues_that_it_is_told(self, start_server: StartServer) -> None:
        start_server("--queues", "mail, slow")
        other = push_task_to_queue(tasks.noop)
        using(queue="mail").push(tasks.noop).wait(60)
        using(queue="slow").push(tasks.noop).wait(60)
        other.refresh_from_db()
        assert other.state == State.READY

    def test_serves_the_queues_that_are_like_a_pattern(self, start_server: StartServer) -> None:
        start_server("--queues", "mail-*,slow")
        others = [using(queue=queue).push(tasks.noop) for queue in ("mail", "Mail-a", "slow-a")]
        for queue in ("mail-a", "mail-", "slow"):
            using(queue=queue).push(tasks.noop).wait(60)
        for row in others:
            row.refresh_from_db()
            assert row.state == State.READY

    def test_takes_nothing_of_a_paused_queue_until_it_goes_on(
        self, start_server: StartServer
    ) -> None:
        pause_queue("mail")
        start_server()
        waiting = using(queue="mail", priority=9).push(tasks.noop)
        push_task_to_queue(tasks.noop).wait(60)
        waiting.refresh_from_db()
        assert waiting.state == State.READY
        resume_queue("mail")
        waiting.wait(60)

    @pytest.mark.parametrize("workers", ["1", "3"])
    def test_lets_no_flood_keep_other_queues_waiting(
        self, start_server: StartServer, workers: str
    ) -> None:
        using(queue="flood", priority=9).push_many([(tasks.nap_and_record, ("flood",), {})] * 300)
        start_server("--queues", "flood=3,mail-*=1", "--workers", workers)
        wait_for_count(lambda: len(order_of_runs()), 20, "runs")
        using(queue="mail-a").push_many([(tasks.nap_and_record, ("few",), {})] * 6)
        begun = len(order_of_runs())
        wait_for_count(lambda: len(order_of_runs()), 306, "runs")
        places = [place for place, tag in enumerate(order_of_runs()) if tag == "few"]
        assert max(places) < begun + 100

    def test_starts_no_deferred_task_before_it_is_due(self, start_server: StartServer) -> None:
        chance = random.Random(7)
        start_server("--workers", "2", LEEK_POLL_INTERVAL="3600")
        begin = timezone.now()
        with transaction.atomic():
            for _ in range(150):
                moment = begin + timedelta(seconds=chance.uniform(0.2, 2.5))
                using(run_after=moment, priority=chance.randint(-9, 9)).push(tasks.noop)
        wait_until(lambda: SuccessTasks.objects.count() == 150, "all tasks")
        late = SuccessTasks.objects.filter(started_at__gte=F("task__run_after"))
        assert late.count() == 150
        assert not FailedTasks.objects.exists()

    def test_starts_a_deferred_task_when_it_is_due(self, start_server: StartServer) -> None:
        start_server(LEEK_POLL_INTERVAL="3600")
        row = using(run_after=timedelta(seconds=0.3)).push(tasks.noop)
        row.wait(60)
        assert row.success.started_at >= row.run_after

    def test_finds_by_its_poll_what_it_had_no_hint_of(
        self, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        start_server(LEEK_POLL_INTERVAL="0.05")
        monkeypatch.setattr("leek.storing.hint", lambda: None)
        push_task_to_queue(tasks.add, 1, 2).wait(60)
        using(run_after=timedelta(seconds=0.1)).push(tasks.add, 1, 2).wait(60)

    def test_is_not_ended_by_a_site_whose_logging_raises(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        (tmp_path / "raising_settings.py").write_text(RAISING_LOG_FILTER)
        server = start_server(
            DJANGO_SETTINGS_MODULE="raising_settings",
            PYTHONPATH=f"{Path(__file__).parents[2]}:{tmp_path}",
            LEEK_RETRY_DELAY="0.01",
        )
        with pytest.raises(TaskFailed):
            push_task_to_queue(tasks.fail).wait(60)
        assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
        assert server.terminate() == 0

    def test_lets_a_child_of_a_task_end_by_a_signal(self, start_server: StartServer) -> None:
        start_server()
        assert push_task_to_queue(tasks.terminate_a_child).wait(60) == -signal.SIGTERM

    def test_lets_no_child_of_a_task_become_a_server(self, start_server: StartServer) -> None:
        start_server()
        assert push_task_to_queue(tasks.let_a_child_return, 3).wait(60) == 1
        assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
        assert Servers.objects.count() == 1

    def test_keeps_no_query_log_in_debug_mode(self, start_server: StartServer) -> None:
        start_server(TESTS_DEBUG="1")
        push_task_to_queue(tasks.query_log_length).wait(60)
        assert push_task_to_queue(tasks.query_log_length).wait(60) == 0

    def test_has_a_lease_while_it_runs(self, start_server: StartServer) -> None:
        server = start_server("--workers", "2")
        row = Servers.objects.get()
        assert (row.port, row.pid, row.workers) == (server.port, server.process.pid, 2)
        assert server.terminate() == 0
        assert not Servers.objects.exists()


class TestStopping:
    """Nothing is lost, and nothing waiting is started."""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_finishes_what_runs_and_gives_back_what_waits(
        self, start_server: StartServer, tmp_path: Path, number: int
    ) -> None:
        server = start_server()
        gate = tmp_path / "gate"
        running = push_task_to_queue(tasks.wait_for, str(gate), "ran")
        blocked(running, gate)
        waiting = push_many([(tasks.record, ("too soon",), {})] * 3)
        server.process.send_signal(number)
        wait_until(lambda: "Stopping" in server.log)
        gate.touch()
        assert server.wait() == 0
        running.refresh_from_db()
        assert running.status == Status.SUCCESSFUL
        assert order_of_runs() == ["ran"]
        assert {row.state for row in QueuedTasks.objects.filter(pk__gte=waiting[0].pk)} == {
            State.READY
        }
        assert not Servers.objects.exists()

    @pytest.mark.parametrize("a_callable", [tasks.wait_for, tasks.never_end])
    def test_gives_back_at_no_cost_what_outlives_the_deadline(
        self, start_server: StartServer, tmp_path: Path, a_callable: Callable[..., object]
    ) -> None:
        server = start_server("--shutdown-timeout", "0.1", **STORES_ALL)
        gate = tmp_path / "gate"
        row = push_task_to_queue(a_callable, str(gate))
        blocked(row, gate)
        assert server.terminate() == 0
        assert f"Task {row.pk} still runs at the deadline" in server.log
        row.refresh_from_db()
        assert (row.state, row.tries, row.crashes, row.owner_id) == (State.READY, 0, 0, None)

    def test_a_second_signal_shortens_the_wait(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        server = start_server("--shutdown-timeout", "3600", **STORES_ALL)
        gate = tmp_path / "gate"
        row = push_task_to_queue(tasks.wait_for, str(gate))
        blocked(row, gate)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "Stopping" in server.log)
        assert server.terminate() == 0
        row.refresh_from_db()
        assert row.state == State.READY

    def test_drain_runs_what_is_due_and_ends(self, start_server: StartServer) -> None:
        push_many([(tasks.noop, (), {})] * 50)
        later = using(run_after=timedelta(hours=1)).push(tasks.noop)
        server = start_server("--drain", wait=False)
        assert server.wait() == 0
        assert SuccessTasks.objects.count() == 50
        later.refresh_from_db()
        assert later.state == State.DEFERRED

    def test_drain_leaves_what_is_in_a_paused_queue(self, start_server: StartServer) -> None:
        waiting = using(queue="mail").push(tasks.noop)
        push_task_to_queue(tasks.noop)
        pause_queue("mail")
        assert start_server("--drain", wait=False).wait() == 0
        assert SuccessTasks.objects.count() == 1
        waiting.refresh_from_db()
        assert waiting.state == State.READY

    def test_idle_timeout_ends_an_idle_server(self, start_server: StartServer) -> None:
        push_task_to_queue(tasks.noop)
        server = start_server("--idle-timeout", "0.2", wait=False, LEEK_POLL_INTERVAL="0.05")
        assert server.wait() == 0
        assert SuccessTasks.objects.count() == 1

    def test_max_tasks_ends_a_server_after_so_many(self, start_server: StartServer) -> None:
        push_many([(tasks.noop, (), {})] * 50)
        server = start_server("--max-tasks", "20", "--workers", "2", wait=False)
        assert server.wait() == 0
        assert SuccessTasks.objects.count() == 20
        assert QueuedTasks.objects.ready().count() == 30

    def test_a_port_in_use_is_one_clear_line(self, start_server: StartServer, port: int) -> None:
        start_server()
        second = manage("leek_server", "--port", str(port))
        assert second.returncode == 2
        assert f"port {port} of 127.0.0.1 is in use" in second.stderr
        assert second.stderr.count("\n") == 1


@pytest.fixture
def database_to_come(tmp_path: Path) -> Iterator[str]:
    """Return the name of a database that is not there yet; it is dropped at the end."""
    if connection.vendor == "sqlite":
        yield str(tmp_path / "to_come" / "db.sqlite3")
        return
    name = f"leek_to_come_{os.getpid()}"
    yield name
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")


def create_database(name: str) -> None:
    """Create an empty database."""
    if connection.vendor == "sqlite":
        Path(name).parent.mkdir()
    else:
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")


@pytest.mark.logs_errors
def test_a_server_waits_for_its_database_and_for_its_tables(
    start_server: StartServer, database_to_come: str
) -> None:
    there = {"TESTS_DATABASE_NAME": database_to_come}
    server = start_server(wait=False, **there)
    wait_until(lambda: "The database fails" in server.log)
    asked = manage("leek_status", "ping", **there)
    assert asked.stdout == "Sent: ping\nReceived: (False, 'Worker Off')\n"
    create_database(database_to_come)
    second = start_server(wait=False, port=free_port(), **there)
    wait_until(lambda: "leek's tables are missing: run manage.py migrate" in second.log)
    assert manage("migrate", "-v0", **there).returncode == 0
    assert "Pushed task" in manage("leek_push", "tests.site.tasks.noop", **there).stdout
    wait_until(lambda: "succeeded" in server.log + second.log)
    for ready in (server, second):
        ready.wait_until_ready()
        wait_until(partial(are_over, ready), "the end of its outages")
        outages = ready.log.count("The database fails")  # two, if it saw some of the tables only
        assert 1 <= outages <= 2
        assert ready.terminate() == 0


def are_over(server: LeekServer) -> bool:
    """Tell whether each outage that a server has told of is over."""
    log = server.log
    return log.count("The database fails") == log.count("The database is back.")
