"""Recurring tasks: real servers push one task for each due time."""

import json
import threading
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from leek import agenda, lifecycle
from leek.models import QueuedTasks, Schedules, Servers, SuccessTasks
from leek.server.scheduler import Scheduler
from leek.server.service import Outage
from tests.conftest import StartServer
from tests.faults.chaos import clocks
from tests.site.models import Runs
from tests.support import ROOT, free_port, manage, wait_until

pytestmark = pytest.mark.any_version

RECORD = "tests.site.tasks.echo"


def environment(**entries: dict[str, Any]) -> dict[str, str]:
    """Return what gives a process these recurring tasks, by their names."""
    return {"LEEK_SCHEDULE": json.dumps(entries)}


def entry(every: float, **options: Any) -> dict[str, Any]:
    """Return an entry of SCHEDULE for a task that does nothing much."""
    return {"task": RECORD, "every": every, **options}


def quiet_interval() -> int:
    """Return an interval in seconds whose due times are not near the present time."""
    candidates = (7_200, 9_000, 10_000)
    return next(n for n in candidates if 300 < time.time() % n < n - 300)


def begun(name: str, ago: timedelta) -> datetime:
    """Let a schedule have been served until so long ago, when all servers went down."""
    due_at = timezone.now() - ago
    Schedules.objects.create(name=name, due_at=due_at)
    return due_at


def due_times() -> list[datetime]:
    """Return the due times for which tasks were pushed, in the order of the pushes."""
    return list(QueuedTasks.objects.order_by("pk").values_list("run_after", flat=True))


def pushed(number: int) -> list[datetime]:
    """Wait until so many tasks were pushed, and return their due times."""
    wait_until(lambda: QueuedTasks.objects.count() >= number, f"{number} pushes")
    return due_times()


def multiples(interval: timedelta, first: datetime, number: int) -> list[datetime]:
    """Return the due times from the first one on."""
    return [first + count * interval for count in range(number)]


def test_three_servers_push_one_task_for_each_due_time(start_server: StartServer) -> None:
    interval = timedelta(seconds=0.4)
    site = environment(tick=entry(0.4, catch_up="all", kwargs={"a": 1}, queue="q", priority=7))
    servers = [start_server(port=free_port(), **site) for _ in range(3)]
    wait_until(lambda: SuccessTasks.objects.count() >= 10, "ten ticks")
    assert [server.terminate() for server in servers] == [0, 0, 0]
    times = due_times()
    assert (times[0] - datetime(1970, 1, 1, tzinfo=UTC)) % interval == timedelta()
    assert times == multiples(interval, times[0], len(times))
    row = SuccessTasks.objects.all()[0].task  # a server that stopped may have given others back
    assert (row.name, row.queue, row.priority) == (RECORD, "q", 7)
    assert row.wait(0) == {"args": (), "kwargs": {"a": 1}}
    schedule = Schedules.objects.get()
    assert (schedule.name, schedule.due_at) == ("tick", times[-1])
    assert schedule.task_id == max(QueuedTasks.objects.values_list("pk", flat=True))


def test_a_task_starts_when_it_is_due_without_a_poll(start_server: StartServer) -> None:
    start_server(**environment(tick=entry(0.5)), LEEK_POLL_INTERVAL="3600")
    wait_until(lambda: SuccessTasks.objects.count() >= 2, "two ticks")


def test_receivers_are_told_of_each_push(start_server: StartServer) -> None:
    seconds = quiet_interval()
    for name in ("a", "b"):
        begun(name, timedelta(seconds=3 * seconds))
    rare = entry(seconds, catch_up="all")
    start_server(TESTS_RECEIVERS="record_push", **environment(a=rare, b=rare))
    wait_until(lambda: Runs.objects.count() >= 6, "six pushes")
    told = list(Runs.objects.order_by("pk").values_list("tag", flat=True))
    assert told == [f"pushed {row.pk}" for row in QueuedTasks.objects.order_by("pk")]


def test_cron_entries_are_pushed_too(start_server: StartServer) -> None:
    start_server(**environment(tick={"task": RECORD, "cron": "* * * * * *"}))
    assert all(due.microsecond == 0 for due in pushed(2))


def test_a_new_schedule_begins_with_its_next_due_time(start_server: StartServer) -> None:
    before = timezone.now() - timedelta(seconds=10)
    site = environment(
        new=entry(quiet_interval(), catch_up="all"), tick=entry(0.2), old=entry(1, queue="old")
    )
    start_server(**site)
    pushed(3)
    schedule = Schedules.objects.get(name="new")
    assert schedule.task_id is None
    assert before < schedule.due_at < timezone.now() + timedelta(seconds=10)
    assert min(due_times()) > before


@pytest.mark.parametrize(("catch_up", "number"), [("latest", 1), ("all", 5), ("none", 0)])
def test_a_server_that_was_down_catches_up_as_its_policy_says(
    start_server: StartServer, catch_up: str, number: int
) -> None:
    seconds = quiet_interval()
    interval = timedelta(seconds=seconds)
    due_at = begun("rare", 5 * interval)
    rare = entry(seconds, catch_up=catch_up, queue="rare")
    start_server(**environment(rare=rare, tick=entry(0.2)))
    wait_until(SuccessTasks.objects.exclude(task__queue="rare").exists, "a turn of the scheduler")
    rows = QueuedTasks.objects.filter(queue="rare").order_by("pk")
    assert [row.wait(60)["args"] for row in rows] == [()] * number
    times = [row.run_after for row in rows]
    last = datetime.fromtimestamp(time.time() // seconds * seconds, UTC)
    assert times == [last - count * interval for count in reversed(range(number))]
    assert Schedules.objects.get(name="rare").due_at == (times[-1] if times else due_at)


def test_draining_pushes_what_was_missed_and_runs_it(start_server: StartServer) -> None:
    seconds = quiet_interval()
    begun("rare", timedelta(seconds=3 * seconds))
    site = environment(rare=entry(seconds, catch_up="all"))
    assert start_server("--drain", wait=False, **site).wait() == 0
    assert SuccessTasks.objects.count() == 3


@pytest.mark.logs_errors
def test_a_task_that_does_not_import_waits_for_a_server_that_knows_it(
    start_server: StartServer, tmp_path: Path
) -> None:
    seconds = quiet_interval()
    begun("rare", timedelta(seconds=2 * seconds))
    site = environment(rare=entry(seconds) | {"task": "rolling.cleanup"}, tick=entry(0.2))
    former = start_server(**site)
    wait_until(lambda: "The recurring task rare is not pushed" in former.log, "the refusal")
    pushed(3)
    assert "rolling.cleanup does not import: ModuleNotFoundError" in former.log
    assert former.log.count("The recurring task rare is not pushed") == 1
    assert not QueuedTasks.objects.filter(name="rolling.cleanup").exists()
    (tmp_path / "rolling.py").write_text("def cleanup():\n    return 'clean'\n")
    start_server(port=free_port(), **site, PYTHONPATH=f"{ROOT}:{tmp_path}")
    wait_until(QueuedTasks.objects.filter(name="rolling.cleanup").exists, "the push")
    assert not former.ended


@pytest.mark.logs_errors
def test_a_task_that_does_not_take_its_arguments_keeps_no_other_from_being_pushed(
    start_server: StartServer,
) -> None:
    wrong = entry(0.2) | {"task": "tests.site.tasks.add", "args": [1]}
    server = start_server(**environment(wrong=wrong, tick=entry(0.2)))
    pushed(3)
    assert "add(first: int, second: int) -> int cannot be called so" in server.log
    assert set(QueuedTasks.objects.values_list("name", flat=True)) == {RECORD}


@pytest.mark.skipif(clocks.library() is None, reason="libfaketime is not installed")
def test_due_times_are_those_of_the_databases_clock(
    start_server: StartServer, tmp_path: Path
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no clock but that of the process")
    clocks.set_clock(tmp_path / "clock", 3600)
    site = environment(tick=entry(0.5))
    server = start_server(**site, **clocks.environment(tmp_path / "clock"))
    times = pushed(3)
    assert server.terminate() == 0
    clocks.clean_up(server.process.pid)
    assert max(times) < timezone.now() + timedelta(minutes=1)


def test_without_recurring_tasks_there_is_no_thread_for_them() -> None:
    scheduler = Scheduler(Outage(), [], "auto", nullcontext(), on_push=lambda: None)
    scheduler.start()
    assert "leek-scheduler" not in {thread.name for thread in threading.enumerate()}
    scheduler.stop()
    assert scheduler.join(0)


def test_a_wrong_entry_keeps_the_server_from_starting(start_server: StartServer) -> None:
    server = start_server(wait=False, **environment(cleanup=entry(0)))
    assert server.wait() == 1
    assert 'LEEK_SCHEDULE["cleanup"]["every"] is 0.' in server.log
    assert not Servers.objects.exists()


class TestStatus:
    """What leek_status says of recurring tasks."""

    def test_shows_when_each_is_due_and_was_pushed_last(
        self, transactional_db: None, port: int
    ) -> None:
        site = environment(new=entry(60), cleanup={"task": RECORD, "cron": "0 3 1 1 *"})
        row = {"run_after": timezone.now(), "pushed_at": timezone.now()}
        due_at = datetime(2026, 1, 1, 3, tzinfo=UTC)
        lifecycle.begin_schedules(["new"])
        Schedules.objects.create(name="cleanup", due_at=due_at - timedelta(days=1))
        (task,) = lifecycle.push_due("cleanup", [due_at], row | {"name": RECORD, "payload": ""})
        printed = manage("leek_status", **site).stdout.splitlines()
        next_year = datetime.now(UTC).year + 1
        assert printed[-1] == (
            f"Schedule cleanup: next {next_year}-01-01 03:00:00,"
            f" last 2026-01-01 03:00:00 as task {task.pk}"
        )
        assert printed[-2].startswith("Schedule new: next 20")
        assert printed[-2].endswith(":00, last never")
        new, cleanup = json.loads(manage("leek_status", "--json", **site).stdout)["schedules"]
        assert cleanup == {
            "name": "cleanup",
            "next_due": f"{next_year}-01-01T03:00:00Z",
            "last_due": "2026-01-01T03:00:00Z",
            "task_id": task.pk,
        }
        assert (new["name"], new["last_due"], new["task_id"]) == ("new", None, None)

    def test_says_nothing_where_there_are_none(self, transactional_db: None, port: int) -> None:
        assert "Schedule" not in manage("leek_status").stdout


@pytest.mark.django_db(transaction=True)
class TestPushDue:
    """The move from a due time to a task."""

    def row(self) -> dict[str, Any]:
        """Return a task to be pushed."""
        now = timezone.now()
        return {"name": RECORD, "payload": "", "run_after": now, "pushed_at": now}

    def test_is_done_once_for_each_due_time(self) -> None:
        now = timezone.now()
        begun("x", timedelta(hours=1))
        assert len(lifecycle.push_due("x", [now], self.row())) == 1
        assert lifecycle.push_due("x", [now], self.row()) == []
        assert QueuedTasks.objects.count() == 1

    def test_pushes_nothing_where_some_of_the_due_times_were_pushed(self) -> None:
        first = timezone.now()
        times = multiples(timedelta(seconds=1), first, 3)
        begun("x", timedelta(hours=1))
        assert len(lifecycle.push_due("x", times[:2], self.row())) == 2
        assert lifecycle.push_due("x", times, self.row()) == []
        assert len(lifecycle.push_due("x", times[2:], self.row())) == 1
        assert due_times() == times

    def test_pushes_nothing_for_what_has_not_begun(self) -> None:
        assert lifecycle.push_due("x", [timezone.now()], self.row()) == []

    def test_begins_each_schedule_once(self) -> None:
        due_at = begun("x", timedelta(hours=1))
        lifecycle.begin_schedules(["x", "y"])
        lifecycle.begin_schedules(["x", "y"])
        found = {one.name: one for one in agenda.handled(["x", "y", "z"])}
        assert found.keys() == {"x", "y"}
        assert found["x"].due_at == due_at
        assert found["x"].due_at < found["y"].due_at <= found["y"].now
