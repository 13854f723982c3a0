"""Hosts whose clocks are minutes apart: what is due when, and who is alive, are told by one."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.db.models import F

from leek.api import push_many, push_task_to_queue, using
from leek.database import now_at
from leek.models import QueuedTasks, Servers, State
from tests.conftest import StartServer
from tests.faults.chaos import clocks
from tests.faults.test_schedule import INTERVAL, SITE, some_more
from tests.site import tasks
from tests.site.models import Runs
from tests.support import finish, free_port, python, wait_until

AHEAD, BEHIND = 7 * 60, -13 * 60  # seconds

pytestmark = [
    pytest.mark.skipif(clocks.library() is None, reason="libfaketime is not installed"),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="hosts cannot share a file of SQLite"),
]

Clock = Callable[[int], dict[str, str]]


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """Return a function that gives the environment of a host whose clock is wrong."""

    def clock(seconds: int) -> dict[str, str]:
        file = tmp_path / f"clock{seconds}"
        clocks.set_clock(file, seconds)
        return clocks.environment(file)

    return clock


def pushed(run_after: str, clock: dict[str, str]) -> QueuedTasks:
    """Push a task at a host with this clock, with an option in Python."""
    code = (
        "import django; django.setup()\n"
        "from datetime import *; from leek.api import using; from tests.site.tasks import noop\n"
        f"print(using(run_after={run_after}).push(noop).pk)"
    )
    answer = python("-W", "ignore", "-c", code, **clock)
    assert answer.returncode == 0, answer.stderr
    return QueuedTasks.objects.get(pk=int(answer.stdout))


@pytest.mark.parametrize("seconds", [AHEAD, BEHIND])
def test_a_delay_is_as_long_as_the_push_says(
    start_server: StartServer, clock: Clock, seconds: int
) -> None:
    before = now_at("default")
    row = pushed("timedelta(seconds=30)", clock(seconds))
    assert row.state == State.DEFERRED
    delay = timedelta(seconds=30)
    assert before + delay <= row.run_after <= now_at("default") + delay


@pytest.mark.parametrize("seconds", [AHEAD, BEHIND])
@pytest.mark.parametrize(("due_in", "state"), [(120, State.DEFERRED), (-60, State.READY)])
def test_a_task_is_due_when_the_push_says(
    transactional_db: None, clock: Clock, seconds: int, due_in: int, state: State
) -> None:
    due = now_at("default") + timedelta(seconds=due_in)
    row = pushed(f"datetime.fromisoformat('{due.isoformat()}')", clock(seconds))
    assert (row.state, row.run_after) == (state, due)


@pytest.mark.parametrize("seconds", [AHEAD, BEHIND])
def test_finished_tasks_are_purged_at_their_age(
    transactional_db: None, clock: Clock, seconds: int
) -> None:
    now = now_at("default")
    finish([push_task_to_queue(tasks.noop)], ended=now - timedelta(minutes=6))
    finish([push_task_to_queue(tasks.noop)], ended=now)
    purge = ("leek_purge", "--older-than=5m", "--dry-run")  # libfaketime breaks sleep, as in others
    answer = python("-W", "ignore", "-m", "django", *purge, **clock(seconds))
    assert answer.stdout == "Would delete 1 tasks.\n", answer.stderr


@pytest.mark.parametrize("seconds", [AHEAD, BEHIND])
def test_status_tells_how_long_tasks_have_waited(
    transactional_db: None, clock: Clock, seconds: int
) -> None:
    push_task_to_queue(tasks.noop)
    QueuedTasks.objects.update(run_after=F("run_after") - timedelta(seconds=60))
    answer = python("-W", "ignore", "-m", "django", "leek_status", "--json", **clock(seconds))
    assert 60 <= json.loads(answer.stdout)["oldest_waiting"] < 60 + 300


def all_renewed(leases: dict[int, datetime]) -> None:
    """Wait until all these leases, of which is known when they end, were renewed."""
    servers = Servers.objects.filter(pk__in=leases)

    def is_so() -> bool:
        ends = servers.values_list("pk", "expires_at")
        return all(time > leases[pk] for pk, time in ends)

    wait_until(is_so, "renewals")


def test_servers_with_clocks_apart_share_the_work(start_server: StartServer, clock: Clock) -> None:
    site = {**SITE, "LEEK_LEASE": "2", "LEEK_RETRY_DELAY": "0.2"}
    servers = [
        start_server("-v1", port=free_port(), **site, **clock(seconds))
        for seconds in (AHEAD, BEHIND, 0)
    ]
    rows = push_many([(tasks.record, (str(number),), {}) for number in range(100)])
    rows.append(using(unique="one").push(tasks.record, "unique"))
    rows.append(using(run_after=timedelta(seconds=0.5)).push(tasks.record, "delayed"))
    rows += [using(rate="50/s").push(tasks.record, f"rated {number}") for number in range(10)]
    rows += [using(limit=1).push(tasks.record, f"limited {number}") for number in range(10)]
    leases = dict(Servers.objects.values_list("pk", "expires_at"))
    assert len(leases) == 3
    for row in rows:
        row.wait(60)
    for _ in range(3):
        all_renewed(leases)
        leases = dict(Servers.objects.values_list("pk", "expires_at"))
    some_more()
    assert Runs.objects.count() == len(rows)
    assert not any("is dead" in server.log for server in servers)
    for server in servers:
        assert server.terminate() == 0
    times = ticks_of_schedule()
    assert times == [times[0] + number * INTERVAL for number in range(len(times))]


def ticks_of_schedule() -> list[datetime]:
    """Return the due times for which the recurring task was pushed."""
    noops = QueuedTasks.objects.filter(name="tests.site.tasks.noop").order_by("pk")
    return list(noops.values_list("run_after", flat=True))
