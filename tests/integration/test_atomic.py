"""Tasks whose own writes and whose success are one transaction."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from leek.api import push_many, push_task_to_queue, using
from leek.exceptions import TaskFailed
from leek.models import QueuedTasks, Status
from tests.conftest import StartServer
from tests.site import policies, tasks
from tests.site.models import Runs
from tests.support import free_port, wait_until

pytestmark = pytest.mark.django_db

IN_THREADS_AND_CHILDREN = pytest.mark.parametrize("arguments", [(), ("--isolate",)])


def runs(tag: str) -> int:
    """Return how many rows tasks have left under a tag."""
    return Runs.objects.filter(tag=tag).count()


@IN_THREADS_AND_CHILDREN
def test_what_it_writes_is_there_with_its_success(
    start_server: StartServer, arguments: tuple[str, ...]
) -> None:
    start_server(*arguments)
    Runs.objects.create(tag="counter", process=0)
    rows = push_many([(policies.count, ("counter",), {})] * 20)
    assert {row.wait(60) for row in rows} == {"counter"}
    assert Runs.objects.get(tag="counter").process == 20


@IN_THREADS_AND_CHILDREN
@pytest.mark.logs_errors
def test_what_it_writes_is_undone_where_it_fails(
    start_server: StartServer, arguments: tuple[str, ...]
) -> None:
    start_server(*arguments)
    row = push_task_to_queue(policies.write_and_fail, "undone")
    with pytest.raises(TaskFailed, match="as asked"):
        row.wait(60)
    assert row.tries == 2
    assert not runs("undone")


def test_a_push_may_ask_for_it(start_server: StartServer) -> None:
    start_server()
    row = using(atomic=True).push(tasks.record, "written")
    row.wait(60)
    assert runs("written") == 1


@pytest.mark.logs_errors
def test_a_setting_may_ask_for_it_and_a_push_decline(start_server: StartServer) -> None:
    start_server(LEEK_ATOMIC_TASKS="true", LEEK_MAX_RETRIES="1")
    undone = push_task_to_queue(policies.write_and_raise, "undone")
    kept = using(atomic=False).push(policies.write_and_raise, "kept")
    for row in (undone, kept):
        with pytest.raises(TaskFailed):
            row.wait(60)
    assert (runs("undone"), runs("kept")) == (0, 1)


@pytest.mark.logs_errors
def test_what_it_pushes_is_undone_as_well(start_server: StartServer) -> None:
    start_server()
    row = push_task_to_queue(policies.push_and_fail, "child")
    with pytest.raises(TaskFailed):
        row.wait(60)
    assert QueuedTasks.objects.count() == 1


@pytest.mark.logs_errors
def test_it_fails_where_it_goes_on_after_an_error_of_the_database(
    start_server: StartServer,
) -> None:
    start_server()
    row = push_task_to_queue(policies.break_the_transaction)
    with pytest.raises(TaskFailed, match="TransactionManagementError"):
        row.wait(60)
    assert not Group.objects.exists()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="others go on after an error")
@pytest.mark.logs_errors
def test_it_fails_where_the_database_does_not_go_on_after_an_error(
    start_server: StartServer,
) -> None:
    start_server()
    row = push_task_to_queue(policies.break_the_transaction_by_sql)
    with pytest.raises(TaskFailed, match="InternalError: current transaction is aborted"):
        row.wait(60)


@IN_THREADS_AND_CHILDREN
def test_it_counts_once_where_the_process_dies_under_it(
    start_server: StartServer, arguments: tuple[str, ...], tmp_path: Path, port: int
) -> None:
    server = start_server(*arguments)
    row = push_task_to_queue(policies.write_and_die, "once", str(tmp_path / "marker"))
    if not arguments:
        server.wait()
        start_server()
    row.wait(60)
    assert row.crashes == 1
    assert runs("once") == 1


@pytest.mark.parametrize("task", [policies.write_and_wait, policies.write_slowly_and_wait])
def test_it_counts_once_where_the_server_is_killed_under_it(
    start_server: StartServer, task: Callable[..., object], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    server = start_server()
    row = push_task_to_queue(task, "once", str(gate))
    wait_until(Path(f"{gate}.begun").exists)
    server.kill()
    gate.touch()
    start_server()
    row.wait(60)
    assert runs("once") == 1


@pytest.mark.skipif(connection.vendor == "sqlite", reason="frozen, it keeps all others out")
@pytest.mark.logs_errors
def test_the_writes_of_a_zombie_are_undone(start_server: StartServer, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    zombie = start_server(LEEK_LEASE="1")
    row = push_task_to_queue(policies.wait_and_write, str(gate), "written")
    wait_until(Path(f"{gate}.begun").exists)
    zombie.freeze()
    successor = start_server(port=free_port(), LEEK_LEASE="1")
    wait_until(lambda: "is dead" in successor.log, "the rescue")
    gate.touch()
    row.wait(60)
    zombie.thaw()
    wait_until(lambda: "its outcome is dropped" in zombie.log, "the refusal")
    assert runs("written") == 1
    row.refresh_from_db()
    assert row.status == Status.SUCCESSFUL
