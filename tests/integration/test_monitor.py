"""What a server counts, and what it says of tasks that take long."""

import signal
import threading
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from leek import leases, lifecycle
from leek.api import push_many, push_task_to_queue
from leek.database import after
from leek.models import QueuedTasks, Servers, Tallies
from leek.outcome import Claimed, Success
from leek.server import monitor
from leek.server.heartbeat import Lease
from leek.server.monitor import Monitor
from leek.server.service import Outage
from leek.tally import ALL_NAMES, BEGINNING, EVER, HOUR, MINUTE, Slice, Tally
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import wait_until

pytestmark = pytest.mark.any_version

NAME = "shop.send"


def success(name: str = NAME, ran: float = 0.003) -> Success:
    """Return the outcome of an attempt that ends now."""
    now = timezone.now()
    claimed = Claimed(7, name, "payload", 0, 0, 0, None, False, 0.0, now, 1, 1)
    return Success(claimed, now, now + timedelta(seconds=ran), None)


def ever(name: str = NAME) -> Tallies | None:
    """Return what was counted of a name since ever."""
    return Tallies.objects.filter(period=EVER, name=name).first()


def succeeded(name: str = NAME) -> int:
    """Return how many attempts have succeeded since ever."""
    return row.succeeded if (row := ever(name)) else 0


# By hand


class Notes:
    """Says what is being run."""

    def __init__(self) -> None:
        self.running: set[int] = set()

    def __call__(self) -> set[int]:
        """Return it."""
        return set(self.running)


@pytest.fixture
def notes() -> Notes:
    """Return what a test says is being run."""
    return Notes()


@pytest.fixture
def server(db: None) -> Servers:
    """Return the row of a server."""
    return leases.register(address="here", port=1, workers=1, queues=None, seconds=60)


@pytest.fixture
def a_monitor(server: Servers, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> Monitor:
    """Return what counts by hand, and does not rest."""
    monkeypatch.setattr(monitor, "LOOK_INTERVAL", 0.0)
    monkeypatch.setattr(monitor, "STORE_INTERVAL", 0.0)
    return Monitor(Outage(), Lease(server, 60, 0), notes, nullcontext())


def told(server: Servers) -> dict[str, str]:
    """Return what a server's row says."""
    server.refresh_from_db()
    running: dict[str, str] = server.running
    return running


def test_what_has_ended_is_counted_in_the_three_slices(a_monitor: Monitor) -> None:
    a_monitor.count([success(ran=0.003), success(ran=0.3), success("other")])
    a_monitor.run_once()
    a_monitor.count([success()])
    a_monitor.run_once()
    rows = {(row.period, row.name): row for row in Tallies.objects.all()}
    assert rows[EVER, NAME].succeeded == 3
    assert rows[EVER, NAME].ran == pytest.approx(0.306)
    assert sum(rows[EVER, NAME].runs) == sum(rows[EVER, NAME].waits) == 3
    assert rows[EVER, NAME].begins_at == BEGINNING
    assert rows[EVER, "other"].succeeded == 1
    of_names = Tallies.objects.filter(period=HOUR).values_list("succeeded", flat=True)
    assert sorted(of_names)[-1] <= 3
    assert sum(of_names) == 4
    of_all = Tallies.objects.filter(period=MINUTE)
    assert {row.name for row in of_all} == {ALL_NAMES}
    assert sum(row.succeeded for row in of_all) == 4


def test_many_names_are_stored_a_part_at_a_time(
    a_monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "MOST_TOGETHER", 3)
    a_monitor.count([success(f"shop.task{number}") for number in range(10)])
    a_monitor.run_once()
    assert Tallies.objects.filter(period=EVER, succeeded=1).count() == 10
    of_all = Tallies.objects.filter(period=MINUTE).values_list("succeeded", flat=True)
    assert sum(of_all) == 10


def test_nothing_new_makes_no_statement(a_monitor: Monitor, notes: Notes) -> None:
    notes.running = {1}
    for _ in range(3):
        a_monitor.count([success()])
        a_monitor.run_once()
    with CaptureQueriesContext(connection) as made:
        for _ in range(5):
            a_monitor.run_once()
    assert not made.captured_queries


def test_an_idle_server_makes_no_statement(a_monitor: Monitor) -> None:
    with CaptureQueriesContext(connection) as made:
        for _ in range(5):
            a_monitor.run_once()
        a_monitor.finish()
    assert not made.captured_queries


def test_tallies_are_stored_at_intervals_and_what_is_left_at_the_end(
    a_monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "STORE_INTERVAL", 3600.0)
    for _ in range(4):
        a_monitor.count([success()])
        a_monitor.run_once()
    assert succeeded() == 1
    a_monitor.finish()
    assert succeeded() == 4


def test_what_cannot_be_stored_is_kept_and_stored_once(
    a_monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "MOST_TOGETHER", 2)
    add_tallies, calls = lifecycle.add_tallies, []

    def fail_at_second(tallies: dict[Slice, Tally]) -> None:
        calls.append(tallies)
        if len(calls) == 2:
            raise OperationalError("away")
        add_tallies(tallies)

    monkeypatch.setattr(lifecycle, "add_tallies", fail_at_second)
    names = [f"shop.task{number}" for number in range(5)]
    a_monitor.count([success(name) for name in names])
    with pytest.raises(OperationalError):
        a_monitor.run_once()
    a_monitor.count([success(name) for name in names])
    a_monitor.run_once()
    assert [succeeded(name) for name in names] == [2] * 5


def test_old_slices_are_forgotten_now_and_then(
    a_monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    Tallies.objects.create(period=HOUR, name=NAME, begins_at=after(-26 * 3600))
    Tallies.objects.create(period=EVER, name=NAME, begins_at=BEGINNING)

    def old() -> bool:
        return Tallies.objects.filter(begins_at__gt=BEGINNING, succeeded=0).exists()

    a_monitor.run_once()
    assert old()
    a_monitor.count([success()])
    a_monitor.run_once()
    assert not old()
    assert succeeded() == 1
    Tallies.objects.create(period=MINUTE, name=ALL_NAMES, begins_at=after(-26 * 3600))
    a_monitor.count([success()])
    a_monitor.run_once()
    assert old()


def test_a_task_that_is_seen_twice_in_a_row_takes_long(
    a_monitor: Monitor, notes: Notes, server: Servers
) -> None:
    before = datetime.now(UTC)
    notes.running = {1, 2}
    a_monitor.run_once()
    first_seen = datetime.now(UTC)
    assert told(server) == {}
    notes.running = {2, 3}
    a_monitor.run_once()
    assert [*told(server)] == ["2"]
    assert before <= datetime.fromisoformat(told(server)["2"]) <= first_seen
    since = told(server)["2"]
    a_monitor.run_once()
    assert told(server)["2"] == since
    assert {*told(server)} == {"2", "3"}
    notes.running = {1}
    a_monitor.run_once()
    assert told(server) == {}


def test_a_change_is_one_statement(a_monitor: Monitor, notes: Notes) -> None:
    notes.running = {*range(1, 50)}
    a_monitor.run_once()
    with CaptureQueriesContext(connection) as made:
        a_monitor.run_once()
    assert len(made) == 1


def test_only_the_tasks_that_take_longest_are_named(
    a_monitor: Monitor, notes: Notes, server: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "MOST_TOLD", 3)
    notes.running = {9, 8}
    a_monitor.run_once()
    notes.running |= {*range(1, 6)}
    a_monitor.run_once()
    a_monitor.run_once()
    assert {*told(server)} == {"8", "9", "1"}


def test_another_server_is_not_touched_and_a_new_lease_told_anew(
    server: Servers, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "LOOK_INTERVAL", 0.0)
    lease = Lease(server, 60, 0)
    other = leases.register(address="there", port=2, workers=1, queues=None, seconds=60)
    a_monitor = Monitor(Outage(), lease, notes, nullcontext())
    notes.running = {1}
    for _ in range(2):
        a_monitor.run_once()
    assert [*told(server)] == ["1"]
    assert told(other) == {}
    leases.resign(server.pk)
    a_monitor.look()
    a_monitor.tell()
    lease.renewed(0, other)
    a_monitor.run_once()
    assert [*told(other)] == ["1"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.logs_errors
def test_what_is_counted_during_an_outage_is_stored_after_it(
    server: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_tallies, is_away, failed = lifecycle.add_tallies, threading.Event(), threading.Event()
    is_away.set()

    def add(tallies: dict[Slice, Tally]) -> None:
        if is_away.is_set():
            failed.set()
            raise OperationalError("away")
        add_tallies(tallies)

    monkeypatch.setattr(lifecycle, "add_tallies", add)
    a_monitor = Monitor(Outage(), Lease(server, 60, 0), set, nullcontext())
    a_monitor.count([success()])
    a_monitor.start()
    for _ in range(3):
        failed.clear()
        assert failed.wait(60)
    a_monitor.count([success()])
    is_away.clear()
    wait_until(succeeded, "what was counted")
    a_monitor.stop()
    assert a_monitor.join(60)
    assert succeeded() == 2


# Several at a time


def store_until_it_is_stored(*names: str) -> None:
    """Count an attempt of each name, as a server of its own."""
    a_monitor = Monitor(Outage(), Lease(Servers(pk=0), 60, 0), set, nullcontext())
    a_monitor.count([success(name) for name in names])
    while True:
        try:
            return a_monitor.store()
        except OperationalError:  # SQLite is busy, MariaDB has met a deadlock
            connection.close()


@pytest.mark.django_db(transaction=True)
def test_servers_that_store_at_the_same_time_lose_nothing() -> None:
    turns, number = 15, 4
    ended, begin = [], threading.Barrier(number)

    def store(own: str) -> None:
        begin.wait(60)
        for turn in range(turns):
            store_until_it_is_stored("a", own, f"new{turn}", "z")
        connections.close_all()
        ended.append(own)

    threads = [threading.Thread(target=store, args=(f"own{each}",)) for each in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ended) == number
    assert [succeeded(name) for name in ("a", "z")] == [turns * number] * 2
    assert [succeeded(f"own{each}") for each in range(number)] == [turns] * number
    assert [succeeded(f"new{turn}") for turn in range(turns)] == [number] * turns
    everything = Tallies.objects.filter(period=MINUTE)
    assert sum(row.succeeded for row in everything) == turns * number * 4
    for row in Tallies.objects.all():
        assert sum(row.runs) == sum(row.waits) == row.succeeded


# A server


def counted(row: QueuedTasks, **numbers: int) -> Callable[[], bool]:
    """Return a condition: so much was counted of the task's name."""

    def condition() -> bool:
        found = ever(row.name)
        return found is not None and all(
            getattr(found, name) == number for name, number in numbers.items()
        )

    return condition


@pytest.mark.logs_errors
@pytest.mark.parametrize("arguments", [(), ("--isolate",)], ids=["threads", "isolate"])
def test_a_server_counts_what_it_has_run(
    start_server: StartServer, arguments: tuple[str, ...]
) -> None:
    start_server(*arguments, LEEK_RETRY_DELAY="0.01", LEEK_MAX_RETRIES="3")
    good = [push_task_to_queue(tasks.add, 1, number) for number in range(5)]
    good += [push_task_to_queue(tasks.add_slowly, 1, number) for number in range(3)]
    bad = push_task_to_queue(tasks.fail)
    wait_until(counted(good[0], succeeded=5), "the tally of what has succeeded")
    wait_until(counted(good[-1], succeeded=3), "the tally of what is async")
    wait_until(counted(bad, retried=2, failed=1, succeeded=0), "the tally of what has failed")
    for row in (found for task in (good[0], bad) if (found := ever(task.name))):
        assert 0 < row.ran < 60
        assert 0 <= row.waited < 60


def test_a_server_stores_what_it_has_counted_when_it_stops(start_server: StartServer) -> None:
    server = start_server()
    rows = push_many([(tasks.add, (1, number), {}) for number in range(50)])
    for row in rows:
        row.wait(60)
    assert server.terminate() == 0
    assert succeeded(rows[0].name) == 50
    assert not Servers.objects.exists()


def test_a_server_that_is_killed_loses_only_what_it_has_counted_last(
    start_server: StartServer,
) -> None:
    server = start_server()
    first = push_task_to_queue(tasks.add, 1, 2)
    wait_until(counted(first, succeeded=1), "the first tally")
    last = push_many([(tasks.add, (1, number), {}) for number in range(50)])
    for row in last:
        row.wait(60)
    server.kill()
    assert 1 <= succeeded(first.name) <= 51
    before = succeeded(first.name)
    start_server()
    push_task_to_queue(tasks.add, 1, 2).wait(60)
    wait_until(counted(first, succeeded=before + 1), "the tally of its successor")


@pytest.mark.logs_errors
def test_a_crash_counts_whoever_finds_it(start_server: StartServer) -> None:
    killer = push_task_to_queue(tasks.record_and_die, "killer")
    assert start_server(wait=False).wait() == -signal.SIGKILL
    start_server()  # finds what was running; the crashes that follow are those of a child process
    wait_until(counted(killer, crashed=3, failed=1), "the tally of the crashes")


@pytest.mark.parametrize("arguments", [(), ("--isolate",)], ids=["threads", "isolate"])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_server_tells_which_tasks_take_long(
    start_server: StartServer, arguments: tuple[str, ...], is_async: bool, tmp_path: Path
) -> None:
    start_server(*arguments)
    gate = tmp_path / "gate"
    a_callable = tasks.log_and_wait_slowly if is_async else tasks.wait_for
    pushed_at = datetime.now(UTC)
    row = push_task_to_queue(a_callable, str(gate))
    wait_until(lambda: Servers.objects.get().running, "the long task")
    ((task_id, since),) = Servers.objects.get().running.items()
    assert task_id == str(row.pk)
    assert pushed_at <= datetime.fromisoformat(since) <= datetime.now(UTC)
    gate.touch()
    row.wait(60)
    wait_until(lambda: Servers.objects.get().running == {}, "the end of the long task")
