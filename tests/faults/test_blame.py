"""Tasks that take their process down: each crash is charged to what was run, and nothing else."""

import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from leek import client
from leek.api import push_many, push_task_to_queue
from leek.exceptions import TaskFailed
from leek.models import QueuedTasks
from tests.conftest import StartServer
from tests.faults.children import slow_children
from tests.faults.troubles import locked_table
from tests.site import tasks
from tests.site.models import Runs
from tests.support import free_port, run, wait_until

pytestmark = pytest.mark.logs_errors

LEASE = "0.5"
LONGER_LEASE = "2"  # that a busy machine does not let run out between a task's start and the kill


def runs_of(tag: str) -> int:
    """Return how often a task with this tag was begun."""
    return Runs.objects.filter(tag=tag).count()


@pytest.mark.parametrize("isolate", [False, True])
def test_a_killer_runs_three_times_and_the_others_are_not_touched(
    start_server: StartServer, *, isolate: bool
) -> None:
    killer = push_task_to_queue(tasks.record_and_die, "killer")
    others = push_many([(tasks.record, (f"other {number}",), {}) for number in range(20)])
    options = ["--isolate"] if isolate else []
    server = start_server(*options, "--workers", "2", wait=False)
    if not isolate:
        assert server.wait() == -9
        server = start_server(*options, "--workers", "2")
    with pytest.raises(TaskFailed, match=r"was killed by SIGKILL \(crash 3 of 3\)") as caught:
        killer.wait(60)
    for row in others:
        row.wait(60)
    assert caught.value.type == "leek.exceptions.WorkerLost"
    assert (killer.crashes, killer.tries) == (3, 0)
    assert runs_of("killer") == 3
    assert {row.tries for row in others} == {1}
    assert not server.ended
    end = f"Task {killer.pk} tests.site.tasks.record_and_die failed for good"
    wait_until(lambda: end in server.log, "the report")


def test_a_killer_that_was_mended_is_pushed_back_with_clean_counters(
    start_server: StartServer, tmp_path: Path
) -> None:
    start_server("--isolate")
    row = push_task_to_queue(tasks.die_unless, str(tmp_path / "mended"))
    with pytest.raises(TaskFailed, match="WorkerLost"):
        row.wait(60)
    (tmp_path / "mended").touch()
    run("leek_retry_failed", str(row.pk))
    row.refresh_from_db()
    assert row.crashes == 0
    assert row.wait(60) == "mended"


def test_what_ran_beside_a_killer_is_cleared_by_its_own_success(
    start_server: StartServer, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    innocent = push_task_to_queue(tasks.wait_for, str(gate), "innocent")
    waiting = push_many([(tasks.noop, (), {})] * 5)
    server = start_server("--workers", "2")
    wait_until(Path(f"{gate}.begun").exists)
    killer = push_task_to_queue(tasks.record_and_die, "killer")
    server.wait()
    gate.touch()
    start_server("--workers", "2")
    with pytest.raises(TaskFailed, match="WorkerLost"):
        killer.wait(60)
    innocent.wait(60)
    assert (innocent.crashes, innocent.tries) == (1, 1)
    assert Counter(row.wait(60) for row in waiting) == {None: 5}
    assert {row.crashes for row in waiting} == {0}
    assert runs_of("killer") == 3


def test_a_frozen_server_is_not_charged_and_a_later_crash_is(
    start_server: StartServer, tmp_path: Path
) -> None:
    frozen = start_server("--workers", "2", LEEK_LEASE=LONGER_LEASE)
    frozen.freeze()
    other = start_server(port=free_port(), LEEK_LEASE=LONGER_LEASE)
    wait_until(lambda: "is dead" in other.log, "the end of the lease")
    other.kill()
    frozen.thaw()
    gate = tmp_path / "gate"
    row = push_task_to_queue(tasks.wait_for, str(gate))
    wait_until(Path(f"{gate}.begun").exists)
    frozen.kill()
    gate.touch()
    server = start_server("--workers", "2", LEEK_LEASE=LONGER_LEASE)
    row.wait(60)
    assert (row.crashes, row.tries) == (1, 1)
    assert f"it was running {row.pk}" in server.log


def test_what_waited_for_a_process_of_its_own_is_not_charged(
    start_server: StartServer, tmp_path: Path
) -> None:
    row = push_task_to_queue(tasks.record, "charged")
    QueuedTasks.objects.update(crashes=1)
    begun = tmp_path / "begun"
    server = start_server(PYTHONPATH=slow_children(tmp_path, begun))
    wait_until(begun.exists, "the start of the child")
    server.kill()
    start_server()
    row.wait(60)
    assert (row.crashes, row.tries) == (1, 1)


@pytest.mark.parametrize("kill", [False, True])
def test_a_crash_that_could_not_be_stored_is_not_forgotten(
    start_server: StartServer, tmp_path: Path, *, kill: bool
) -> None:
    gate = tmp_path / "gate"
    server = start_server(
        "--isolate", "--shutdown-timeout", "0", DJANGO_SETTINGS_MODULE="tests.short_waits"
    )
    row = push_task_to_queue(tasks.die_at, str(gate), "killer")
    wait_until(Path(f"{gate}.begun").exists, "the start of the task")
    with locked_table():
        gate.touch()
        wait_until(lambda: noted() == row.pk, "the note of the crash")
        if kill:
            server.kill()
        else:
            assert server.terminate() == 0
    start_server("--isolate")
    with pytest.raises(TaskFailed, match="WorkerLost"):
        row.wait(60)
    assert row.crashes == 3
    assert len(Path(f"{gate}.runs").read_text()) == 3


def test_all_async_tasks_that_run_are_charged_and_those_that_wait_are_not(
    start_server: StartServer, tmp_path: Path
) -> None:
    gates = [tmp_path / str(number) for number in range(3)]
    server = start_server(LEEK_ASYNC_LIMIT="3")
    running = push_many([(tasks.wait_slowly, (str(gate),), {}) for gate in gates])
    for gate in gates:
        wait_until(Path(f"{gate}.begun").exists)
    waiting = push_many([(tasks.add_slowly, (1, 2), {})] * 3)
    wait_until(QueuedTasks.objects.running().filter(pk=waiting[0].pk).exists, "the claim")
    wait_until(lambda: client.ask("waiting").value == 3, "the end of its loading")
    server.kill()
    for gate in gates:
        gate.touch()
    server = start_server(LEEK_ASYNC_LIMIT="3")
    assert {row.wait(60) for row in running} == {None}
    assert {row.wait(60) for row in waiting} == {3}
    assert {(row.crashes, row.tries) for row in running} == {(1, 1)}
    assert {(row.crashes, row.tries) for row in waiting} == {(0, 1)}
    processes = {Path(f"{gate}.begun").read_text() for gate in gates}
    assert len(processes - {str(server.process.pid)}) == 3  # each alone, in a child


def test_an_async_killer_runs_three_times(start_server: StartServer) -> None:
    killer = push_task_to_queue(tasks.record_and_die_slowly, "killer")
    assert start_server(wait=False).wait() == -9
    server = start_server()
    with pytest.raises(TaskFailed, match=r"was killed by SIGKILL \(crash 3 of 3\)"):
        killer.wait(60)
    assert (killer.crashes, killer.tries) == (3, 0)
    assert runs_of("killer") == 3
    assert not server.ended


def noted() -> int:
    """Return what the only Worker of the only server has noted as running; negative in a child."""
    (file,) = Path(tempfile.gettempdir()).glob("leek-*/*.running")
    return int.from_bytes(file.read_bytes()[:8], sys.byteorder, signed=True)


def test_where_nobody_knows_what_ran_each_suspect_is_cleared_alone(
    start_server: StartServer, tmp_path: Path
) -> None:
    killer = push_task_to_queue(tasks.record_and_die, "killer")
    innocents = push_many([(tasks.record, (f"innocent {number}",), {}) for number in range(6)])
    elsewhere = tmp_path / "elsewhere"  # the notes of the dead server cannot be read here
    elsewhere.mkdir()
    dead = start_server("--workers", "4", wait=False, TMPDIR=str(elsewhere), LEEK_LEASE=LEASE)
    assert dead.wait() == -9
    server = start_server("--workers", "4", port=free_port(), LEEK_LEASE=LEASE)
    with pytest.raises(TaskFailed, match="WorkerLost"):
        killer.wait(60)
    for row in innocents:
        row.wait(60)
    assert "nobody knows which" in server.log
    assert runs_of("killer") == 3
    assert (killer.crashes, killer.tries) == (3, 0)
    assert {row.crashes for row in innocents} == {0}
    assert not QueuedTasks.objects.filter(suspect=True).exists()
