"""SIGKILL, servers that come and go, and several at once: nothing is lost, nothing runs twice."""

import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from leek.api import push_many, push_task_to_queue
from leek.models import FailedTasks, QueuedTasks, Servers, State, SuccessTasks
from tests.conftest import StartServer
from tests.site import tasks
from tests.site.models import Runs
from tests.support import GIVE_UP_AFTER, environment, free_port, wait_until

PUSHERS, PUSHES, KILLS = 4, 2500, 5

PUSHER = """
import sys, django
django.setup()
from leek.api import push_task_to_queue
from tests.site.tasks import noop
for number in range({pushes}):
    push_task_to_queue(noop)
"""


def start_pusher(port: int) -> "subprocess.Popen[bytes]":
    """Start a process that pushes its share of tasks one by one."""
    return subprocess.Popen(
        [sys.executable, "-c", PUSHER.format(pushes=PUSHES)],
        env=environment(LEEK_TASKS_PORT=str(port)),
    )


def has_succeeded(number: int) -> bool:
    """Tell whether so many tasks have succeeded."""
    return SuccessTasks.objects.count() >= number


def test_ten_thousand_tasks_survive_five_kills(start_server: StartServer, port: int) -> None:
    server = start_server("-v0")
    pushers = [start_pusher(port) for _ in range(PUSHERS)]
    for kill in range(1, KILLS + 1):
        goal = kill * PUSHERS * PUSHES // (KILLS + 2)
        wait_until(partial(has_succeeded, goal), f"{goal} successes")
        server.kill()
        server = start_server("-v0")
    assert [pusher.wait(GIVE_UP_AFTER) for pusher in pushers] == [0] * PUSHERS
    wait_until(lambda: SuccessTasks.objects.count() == PUSHERS * PUSHES, "all successes")
    assert QueuedTasks.objects.count() == PUSHERS * PUSHES
    assert not QueuedTasks.objects.exclude(state=State.SUCCESSFUL).exists()
    assert not FailedTasks.objects.exists()


def test_a_killed_server_loses_neither_what_ran_nor_what_waited(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server("--workers", "2")
    gates = [tmp_path / name for name in ("a", "b")]
    running = [push_task_to_queue(tasks.wait_for, str(gate), gate.name) for gate in gates]
    waiting = push_many([(tasks.record, (f"waited {number}",), {}) for number in range(10)])
    wait_until(lambda: all(Path(f"{gate}.begun").exists() for gate in gates))
    server.kill()
    assert not Runs.objects.exists()
    for gate in gates:
        gate.touch()
    successor = start_server("--workers", "2")
    for row in running + waiting:
        row.wait(60)
    assert Counter(Runs.objects.values_list("tag", flat=True)) == {
        "a": 1,
        "b": 1,
        **{f"waited {number}": 1 for number in range(10)},
    }
    assert [row.crashes for row in running] == [1, 1]
    assert {row.crashes for row in waiting} == {0}
    assert Servers.objects.get().pid == successor.process.pid


def test_another_host_takes_over_when_the_lease_is_over(
    start_server: StartServer, tmp_path: Path
) -> None:
    dead = start_server(LEEK_LEASE="0.5")
    gate = tmp_path / "gate"
    row = push_task_to_queue(tasks.wait_for, str(gate), "done")
    wait_until(Path(f"{gate}.begun").exists)
    dead.kill()
    gate.touch()
    start_server(port=free_port(), LEEK_LEASE="0.5")  # not the address of a predecessor
    row.wait(60)
    assert list(Runs.objects.values_list("tag", flat=True)) == ["done"]


@pytest.mark.logs_errors
def test_a_late_outcome_of_a_frozen_server_is_refused(
    start_server: StartServer, tmp_path: Path
) -> None:
    frozen = start_server(LEEK_LEASE="0.5")
    gate = tmp_path / "gate"
    row = push_task_to_queue(tasks.wait_for, str(gate), "done")
    wait_until(Path(f"{gate}.begun").exists)
    frozen.freeze()
    gate.touch()
    rescuer = start_server(port=free_port(), LEEK_POLL_INTERVAL="0.1")
    row.wait(60)
    owner = QueuedTasks.objects.get(pk=row.pk).owner_id
    frozen.thaw()
    wait_until(lambda: "the lease was lost" in frozen.log, "the refusal")
    row.refresh_from_db()
    assert (row.state, row.owner_id, row.tries) == (State.SUCCESSFUL, owner, 1)
    assert row.crashes == 0  # frozen is not dead
    assert Servers.objects.get(pid=rescuer.process.pid).pk == owner
    push_task_to_queue(tasks.noop).wait(60)
    assert frozen.terminate() == 0


def test_pushes_while_the_server_is_down_run_when_it_comes_up(
    start_server: StartServer,
) -> None:
    start_server().kill()
    rows = [push_task_to_queue(tasks.add, number, 1) for number in range(20)]
    start_server()
    assert [row.wait(60) for row in rows] == list(range(1, 21))


def test_two_servers_on_one_database_run_nothing_twice(
    start_server: StartServer, tmp_path: Path
) -> None:
    servers = [start_server("-v0", "--workers", "2", port=free_port()) for _ in range(2)]
    gates = [tmp_path / name for name in "abcd"]
    push_many([(tasks.wait_for, (str(gate), gate.name), {}) for gate in gates])
    wait_until(lambda: all(Path(f"{gate}.begun").exists() for gate in gates), "both servers")
    push_many([(tasks.record, (str(number),), {}) for number in range(600)])
    for gate in gates:
        gate.touch()
    wait_until(lambda: SuccessTasks.objects.count() == 604, "all successes")
    tags = Counter(Runs.objects.values_list("tag", flat=True))
    assert len(tags) == 604
    assert set(tags.values()) == {1}
    assert set(Runs.objects.values_list("process", flat=True).distinct()) == {
        server.process.pid for server in servers
    }
