"""Locks that last, connections that are lost, transactions left open: nothing is held up."""

from pathlib import Path

import pytest
from django.db import connection

from leek import leases, lifecycle
from leek.api import push_many, push_task_to_queue
from leek.exceptions import ResultNotStored
from leek.models import QueuedTasks, Servers, State
from tests.conftest import StartServer
from tests.faults.databases import drop_connections
from tests.faults.troubles import locked_table
from tests.site import tasks
from tests.site.models import Runs
from tests.support import STORES_ALL, wait_until

on_servers = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has neither connections to lose nor row locks"
)


def kill_connections() -> None:
    """End all connections to this database but this process's own, from the database's side."""
    drop_connections(connection, str(connection.settings_dict["NAME"]))


def begun(gate: Path) -> None:
    """Wait until the task at this gate runs."""
    wait_until(Path(f"{gate}.begun").exists, "the start of the task")


@on_servers
@pytest.mark.logs_errors
def test_a_lost_connection_is_replaced(start_server: StartServer) -> None:
    server = start_server("-v2")
    push_task_to_queue(tasks.record, "before").wait(60)
    kill_connections()
    push_task_to_queue(tasks.record, "after").wait(60)
    assert set(Runs.objects.values_list("tag", flat=True)) == {"before", "after"}
    assert not server.ended
    assert "The database fails" not in server.log


@on_servers
@pytest.mark.logs_errors
def test_a_lost_connection_does_not_spoil_the_stop(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server("--shutdown-timeout", "0", **STORES_ALL)
    gate = tmp_path / "gate"
    row = push_task_to_queue(tasks.wait_for, str(gate))
    begun(gate)
    kill_connections()
    assert server.terminate() == 0
    row.refresh_from_db()
    assert (row.state, row.crashes) == (State.READY, 0)
    assert not Servers.objects.exists()


@pytest.mark.logs_errors
def test_a_locked_table_does_not_keep_the_server_beyond_its_deadline(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server("--shutdown-timeout", "0.1")
    gate = tmp_path / "gate"
    row = push_task_to_queue(tasks.wait_for, str(gate), "ran")
    begun(gate)
    with locked_table():
        assert server.terminate() == 0
    assert "given back when its lease is over" in server.log
    gate.touch()
    start_server()
    row.wait(60)
    assert (row.crashes, row.tries) == (0, 1)


@on_servers
def test_a_dead_server_that_holds_locks_holds_up_nobody(start_server: StartServer) -> None:
    dead = leases.register(address="x", port=1, workers=1, queues=None, seconds=-1)
    row = push_task_to_queue(tasks.record, "rescued")
    lifecycle.claim(dead.pk, 1, 1, None)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            other.set_autocommit(False)
            cursor.execute(f"SELECT id FROM leek_queuedtasks WHERE id = {row.pk} FOR UPDATE")
            server = start_server(LEEK_LEASE="0.3")
            lease = Servers.objects.get(pid=server.process.pid)
            for _ in range(5):  # the lease is renewed while the rescue waits

                def is_renewed(known: Servers = lease) -> bool:
                    return Servers.objects.get(pk=known.pk).expires_at > known.expires_at

                wait_until(is_renewed, "a renewal")
                lease = Servers.objects.get(pk=lease.pk)
            push_task_to_queue(tasks.record, "new").wait(60)
            row.refresh_from_db()
            assert row.state == State.RUNNING
            other.rollback()
    finally:
        other.close()
    row.wait(60)


@on_servers
def test_a_task_that_a_dead_server_has_locked_holds_up_none_of_its_others(
    start_server: StartServer,
) -> None:
    dead = leases.register(address="x", port=1, workers=1, queues=None, seconds=-1)
    locked, free = push_many([(tasks.record, (tag,), {}) for tag in ("locked", "free")])
    lifecycle.claim(dead.pk, 1, 2, None)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            other.set_autocommit(False)
            cursor.execute(f"SELECT id FROM leek_queuedtasks WHERE id = {locked.pk} FOR UPDATE")
            start_server(LEEK_LEASE="0.3")
            free.wait(60)
            locked.refresh_from_db()
            assert locked.state == State.RUNNING
            other.rollback()
    finally:
        other.close()
    locked.wait(60)


@pytest.mark.logs_errors
def test_a_transaction_left_open_costs_the_next_task_nothing(start_server: StartServer) -> None:
    start_server()
    left = push_task_to_queue(tasks.leave_transaction_open)
    for number in range(3):
        push_task_to_queue(tasks.record, str(number)).wait(60)
    left.wait(60)
    assert Runs.objects.count() == 3
    assert not QueuedTasks.objects.filter(tries__gt=1).exists()


def test_results_that_are_too_large_are_lost_and_nothing_else(start_server: StartServer) -> None:
    start_server()
    large = push_many([(tasks.huge, (3_000_000,), {})] * 8)
    too_large = push_task_to_queue(tasks.huge, 17_000_000)
    with pytest.raises(ResultNotStored, match="17"):
        too_large.wait(60)
    assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
    assert {len(row.wait(60)) for row in large} == {3_000_000}


def test_outcomes_stay_while_the_table_is_locked(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server()
    gate = tmp_path / "gate"
    row = push_task_to_queue(tasks.wait_for, str(gate))
    begun(gate)
    with locked_table():
        gate.touch()
        wait_until(lambda: f"Task {row.pk} tests.site.tasks.wait_for succeeded" in server.log)
    row.wait(60)
    assert row.tries == 1
