"""The database has trouble: the server stays, keeps what it has, and says once what is wrong."""

import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from leek.api import push_many, push_task_to_queue
from leek.models import QueuedTasks, State
from leek.server.recorder import MOST_KEPT
from tests.conftest import StartServer
from tests.faults.databases import NAME, Database, Server
from tests.faults.troubles import Trouble, away, full, locked, read_only, small_disk, swallowed
from tests.site import tasks
from tests.site.models import Runs
from tests.support import LeekServer, free_port, run, wait_until

pytestmark = pytest.mark.logs_errors

on_servers = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has neither connections to lose nor row locks"
)

MANY_TRIES = 8
MUCH = 2_000_000  # characters


def outages(server: LeekServer) -> tuple[int, int]:
    """Return how many outages a server has reported, and how many ends of one."""
    return server.log.count("The database fails"), server.log.count("The database is back.")


def failures(server: LeekServer) -> int:
    """Return how many tries of a server with -v2 the database has failed."""
    return server.log.count("The database failed leek's")


def begun(gate: Path) -> None:
    """Wait until the task at this gate runs."""
    wait_until(Path(f"{gate}.begun").exists, "the start of the task")


def successes(server: LeekServer) -> Counter[str]:
    """Return how often each task has succeeded, by its id, as the log tells."""
    return Counter(re.findall(r"Task (\d+) \S+ succeeded", server.log))


def has_successes(server: LeekServer, number: int) -> bool:
    """Tell whether so many attempts have succeeded."""
    return successes(server).total() >= number


def lasting(server: LeekServer) -> None:
    """Let a trouble last for many tries, and see that it was reported once."""
    before = failures(server)
    wait_until(lambda: failures(server) >= before + MANY_TRIES, "many tries")
    assert outages(server) == (1, 0)


def over(server: LeekServer) -> None:
    """See that the end of the trouble is reported, once."""
    push_task_to_queue(tasks.noop).wait(60)
    wait_until(lambda: outages(server) == (1, 1), "the end of the outage")


def test_a_server_that_starts_before_its_database_waits_for_it(
    database: Database, start_server: StartServer
) -> None:
    row = push_task_to_queue(tasks.add, 1, 2)
    with away(database):
        server = start_server("-v2", wait=False)
        lasting(server)
    assert row.wait(60) == 3
    assert outages(server) == (1, 1)


@on_servers
def test_a_server_does_not_wait_long_for_a_host_that_does_not_answer(
    database: Server, start_server: StartServer
) -> None:
    row = push_task_to_queue(tasks.add, 1, 2)
    with swallowed(database):
        server = start_server("-v2", wait=False)
        wait_until(lambda: failures(server) >= 2, "two tries")
    assert row.wait(60) == 3
    assert outages(server) == (1, 1)


@pytest.mark.parametrize("trouble", [away, locked, read_only])
def test_outcomes_are_kept_during_an_outage_and_stored_once_after_it(
    database: Database, start_server: StartServer, tmp_path: Path, trouble: Trouble
) -> None:
    server = start_server("-v2", "--workers", "4", DJANGO_SETTINGS_MODULE="tests.short_waits")
    gates = [tmp_path / name for name in "abcd"]
    rows = push_many([(tasks.wait_for, (str(gate),), {}) for gate in gates])
    list(map(begun, gates))
    with trouble(database):
        for gate in gates:
            gate.touch()
        wait_until(lambda: successes(server).total() == 4, "their ends")
        lasting(server)
    for row in rows:
        row.wait(60)
    assert {(row.tries, row.crashes, row.claim) for row in rows} == {(1, 0, rows[0].claim)}
    assert set(successes(server).values()) == {1}
    over(server)


def test_an_outage_amid_many_tasks_runs_none_twice(
    database: Database, start_server: StartServer
) -> None:
    server = start_server("-v2", "--workers", "2", DJANGO_SETTINGS_MODULE="tests.short_waits")
    push_many([(tasks.noop, (), {})] * 3000)
    wait_until(lambda: successes(server).total() > 500, "some successes")
    with away(database) if isinstance(database, Server) else locked(database):
        before = failures(server)
        wait_until(lambda: failures(server) >= before + MANY_TRIES, "many tries")
    wait_until(lambda: QueuedTasks.objects.filter(state=State.SUCCESSFUL).count() == 3000)
    assert set(successes(server).values()) == {1}
    # Under this load SQLite may also keep one part waiting too long for another: more outages.
    wait_until(lambda: len(set(outages(server))) == 1, "the end of each outage")


@on_servers
def test_a_crash_of_the_database_amid_many_tasks_loses_none(
    database: Server, start_server: StartServer
) -> None:
    server = start_server("-v2", "--workers", "2", DJANGO_SETTINGS_MODULE="tests.short_waits")
    push_many([(tasks.noop, (), {})] * 3000)
    wait_until(lambda: successes(server).total() > 500, "some successes")
    connection.close()
    database.crash()
    wait_until(lambda: failures(server) > 0, "a failed try")
    database.start()
    wait_until(lambda: QueuedTasks.objects.filter(state=State.SUCCESSFUL).count() == 3000)
    # PostgreSQL may have lost the claims of the last moment; their tasks have run once more.
    assert set(successes(server).values()) <= {1, 2}
    assert not QueuedTasks.objects.exclude(tries=1, crashes=0).exists()


def test_an_outage_that_outlasts_the_leases_makes_no_server_take_another_for_dead(
    database: Database, start_server: StartServer, tmp_path: Path
) -> None:
    lease = 3
    servers = [
        start_server("-v2", "--workers", "2", port=free_port(), LEEK_LEASE=str(lease))
        for _ in range(2)
    ]
    gates = [tmp_path / name for name in "abcd"]
    rows = push_many([(tasks.wait_for, (str(gate),), {}) for gate in gates])
    list(map(begun, gates))
    with away(database):
        over_at = time.monotonic() + lease  # for nothing renews the leases any more
        for gate in gates:
            gate.touch()
        for server in servers:
            lasting(server)
        wait_until(lambda: time.monotonic() > over_at, "the end of the leases")
    for row in rows:
        row.wait(60)
    assert sum(successes(server).total() for server in servers) == 4
    assert not any("is dead" in server.log for server in servers)


def return_much(gate: str) -> str:
    """Wait at a gate, and return what cannot be compressed."""
    tasks.wait_for(gate)
    return secrets.token_hex(MUCH // 2)


def test_a_full_disk_keeps_outcomes_until_there_is_room(
    database: Database, start_server: StartServer, tmp_path: Path
) -> None:
    with small_disk(database) as folder:
        server = start_server("-v2")
        gate = tmp_path / "gate"
        row = push_task_to_queue(return_much, str(gate))
        begun(gate)
        with full(database, folder):
            gate.touch()
            lasting(server)
        assert len(row.wait(60)) == MUCH
        assert (row.tries, row.crashes) == (1, 0)
        assert set(successes(server).values()) == {1}
        over(server)
        server.terminate()


def has_handled_what_is_kept() -> bool:
    """Tell whether a server of two Workers has claimed only what it has handled, and keeps that."""
    kept = QueuedTasks.objects.running().count()
    is_full = kept in (MOST_KEPT, MOST_KEPT + 1)
    return is_full and f"(True, {kept})" in run("leek_status", "handled")


@on_servers
def test_workers_wait_when_too_many_outcomes_cannot_be_stored(
    database: Server, start_server: StartServer
) -> None:
    start_server("-v0", "--workers", "2")
    with database.connect_as_admin(NAME) as other, other.cursor() as cursor:
        if other.vendor == "postgresql":
            other.set_autocommit(False)
            cursor.execute("LOCK TABLE leek_successtasks IN SHARE MODE")
        else:
            cursor.execute("LOCK TABLES leek_successtasks READ")
        push_many([(tasks.noop, (), {})] * (MOST_KEPT + 2000))
        wait_until(has_handled_what_is_kept, "all but the others")
    wait_until(lambda: not QueuedTasks.objects.exclude(state=State.SUCCESSFUL).exists())


@on_servers
def test_connections_that_are_dropped_again_and_again_lose_nothing(
    database: Database, start_server: StartServer
) -> None:
    server = start_server("--workers", "2", LEEK_MAX_RETRIES="100", LEEK_RETRY_DELAY="0.01")
    tags = {str(number) for number in range(1000)}
    push_many([(tasks.record, (tag,), {}) for tag in sorted(tags)])
    for number in range(100, 900, 100):
        wait_until(partial(has_successes, server, number), "more successes")
        database.kill_connections()
    connection.close()
    wait_until(lambda: QueuedTasks.objects.filter(state=State.SUCCESSFUL).count() == 1000)
    assert set(Runs.objects.values_list("tag", flat=True)) == tags


@on_servers
def test_a_deadlock_costs_an_outcome_a_second_try(
    database: Server, start_server: StartServer, tmp_path: Path
) -> None:
    if connection.vendor == "postgresql":
        database.execute(f"ALTER ROLE {NAME} SET deadlock_timeout = '3s'")
    server = start_server("-v2")
    gate = tmp_path / "gate"
    row = push_task_to_queue(tasks.wait_for, str(gate))
    begun(gate)
    with stubborn(database) as cursor:
        cursor.execute(
            "INSERT INTO leek_successtasks (task_id, started_at, finished_at)"
            f" VALUES ({row.pk}, now(), now())"
        )
        gate.touch()
        wait_until(lambda: is_waiting(database), "the settlement")
        cursor.execute(f"SELECT id FROM leek_queuedtasks WHERE id = {row.pk} FOR UPDATE")
    row.wait(60)
    assert "deadlock" in server.log.lower()
    assert (row.tries, row.crashes) == (1, 0)
    assert outages(server) == (0, 0)


def test_a_task_that_misses_the_database_has_had_a_try(
    database: Database, start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server("-v2", LEEK_RETRY_DELAY="0.01")
    gate = tmp_path / "gate"
    row = push_task_to_queue(tasks.wait_for, str(gate), "ran")
    begun(gate)
    with away(database):
        gate.touch()
        wait_until(lambda: "wait_for failed in" in server.log, "the end of the first try")
    row.wait(60)
    assert row.tries == 2
    assert list(Runs.objects.values_list("tag", flat=True)) == ["ran"]
    assert "failed leek's worker" not in server.log


@contextmanager
def stubborn(database: Server) -> Iterator[Any]:
    """Begin a transaction that leek's gives way to in a deadlock, and roll it back at the end."""
    with database.connect_as_admin(NAME) as other, other.cursor() as cursor:
        other.set_autocommit(False)
        if other.vendor == "postgresql":  # who waits longer before it looks for deadlocks
            cursor.execute("SET deadlock_timeout = '60s'")
        else:  # who has changed more
            cursor.execute("UPDATE auth_permission SET name = CONCAT(name, '.')")
        yield cursor
        other.rollback()


def is_waiting(database: Server) -> bool:
    """Tell whether a settlement waits for the lock of a success that is stored already."""
    sql = {
        "postgresql": "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
        # innodb_trx would tell, but shows what was, as long as it is asked every now and then.
        "mysql": "SELECT 1 FROM information_schema.processlist"
        " WHERE command = 'Query' AND info LIKE 'INSERT INTO%leek_successtasks%'",
    }
    with database.connect_as_admin() as admin, admin.cursor() as cursor:
        cursor.execute(sql[connection.vendor])
        return cursor.fetchone() is not None
