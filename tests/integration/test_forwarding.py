"""Servers of a fleet tell each other of work that they cannot start."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from leek import client, hinting, leases
from leek.api import pause_queue, push_many, push_task_to_queue, resume_queue, using
from leek.models import QueuedTasks, Servers
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import STORES_ALL, LeekServer, finish, free_port, wait_until

# What runs all the same, somebody has told of it.
NO_POLL = {"LEEK_POLL_INTERVAL": "3600", "TESTS_NEW_FOR": "0"}

StartSibling = Callable[..., LeekServer]


@pytest.fixture
def start_sibling(start_server: StartServer) -> StartSibling:
    """Return a function that starts a server that no hints of this process reach."""

    def start(*arguments: str, **extra: str) -> LeekServer:
        return start_server(*arguments, port=free_port(), **{**NO_POLL, **extra})

    return start


class Gates:
    """Tasks that run until they are let go on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._gates: dict[int, Path] = {}

    def push(self, queue: str = "default") -> QueuedTasks:
        """Push a task, and wait until it runs."""
        gate = self._folder / f"gate-{len(self._gates)}"
        row = using(queue=queue).push(tasks.wait_for, str(gate))
        self._gates[row.pk] = gate
        return self.await_run(row)

    def push_many(self, number: int) -> list[QueuedTasks]:
        """Push so many tasks at once, and wait until all run."""
        gates = [self._folder / f"gate-{len(self._gates) + each}" for each in range(number)]
        rows = push_many([(tasks.wait_for, (str(gate),), {}) for gate in gates])
        self._gates |= {row.pk: gate for row, gate in zip(rows, gates, strict=True)}
        return [self.await_run(row) for row in rows]

    def await_run(self, row: QueuedTasks) -> QueuedTasks:
        """Wait until a task runs, and return its row as it is then."""
        gate = self._gates[row.pk]
        begun = Path(f"{gate}.begun")
        wait_until(begun.exists, f"the start of {row}")
        begun.unlink()
        row.refresh_from_db()
        return row

    def open(self, row: QueuedTasks) -> None:
        """Let a task end."""
        self._gates[row.pk].touch()


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path)


def id_of(server: LeekServer) -> int:
    """Return the id of a server's row."""
    return Servers.objects.get(port=server.port).pk


def test_a_task_that_reaches_a_busy_server_starts_on_an_idle_one(
    start_server: StartServer, start_sibling: StartSibling, gates: Gates
) -> None:
    start_server(**NO_POLL)
    start_sibling()
    gates.push()
    gates.push()


def test_of_three_servers_two_may_be_busy(
    start_server: StartServer, start_sibling: StartSibling, gates: Gates
) -> None:
    start_server(**NO_POLL)
    start_sibling()
    start_sibling()
    for _ in range(3):
        gates.push()


def test_a_server_may_join_when_the_others_are_busy(
    start_server: StartServer, start_sibling: StartSibling, gates: Gates
) -> None:
    start_server(**NO_POLL)
    for _ in range(3):
        gates.push()
        start_sibling(TESTS_NEW_FOR="")  # it looks often at first
    gates.push()


def test_a_burst_spreads(
    start_server: StartServer, start_sibling: StartSibling, gates: Gates
) -> None:
    start_server(**NO_POLL)
    for _ in range(3):
        start_sibling()
    gates.push_many(4)


def test_a_sibling_that_was_busy_is_offered_the_next_task(
    start_server: StartServer, start_sibling: StartSibling, gates: Gates
) -> None:
    start_server(**NO_POLL)
    gates.push()
    sibling = start_sibling()  # after it, because who starts looks for tasks as well
    for _ in range(5):
        row = gates.push()
        assert row.owner_id == id_of(sibling)
        noted = push_task_to_queue(tasks.noop)  # while both are busy
        gates.open(row)
        noted.wait(60)


def test_a_task_does_not_wait_behind_a_slow_one_that_followed_quick_ones(
    start_server: StartServer, start_sibling: StartSibling, gates: Gates
) -> None:
    start_server(**NO_POLL)
    for _ in range(30):
        push_task_to_queue(tasks.noop).wait(60)
    start_sibling()
    gates.push()
    gates.push()


def test_what_was_claimed_ahead_goes_to_a_sibling_that_gets_room(
    start_server: StartServer, start_sibling: StartSibling, gates: Gates
) -> None:
    server = start_server(**NO_POLL)
    start_sibling()
    first, second = gates.push_many(2)
    of_server, of_sibling = sorted((first, second), key=lambda row: row.owner_id != id_of(server))
    behind = push_many([(tasks.noop, (), {})] * 5)
    gates.open(of_sibling)
    for row in behind:
        row.wait(60)
    of_server.refresh_from_db()
    assert not of_server.is_finished


@pytest.mark.parametrize("served", ["mail", "mail-*", "default,mail"])
def test_a_task_of_a_queue_that_the_hinted_server_does_not_serve_starts_elsewhere(
    start_server: StartServer, start_sibling: StartSibling, gates: Gates, served: str
) -> None:
    start_server("--queues", "default", **NO_POLL)
    sibling = start_sibling("--queues", served)
    row = gates.push("mail-a" if "*" in served else "mail")
    assert row.owner_id == id_of(sibling)


def test_a_server_whose_worker_is_off_forwards(
    start_server: StartServer, start_sibling: StartSibling, gates: Gates
) -> None:
    server = start_server(**NO_POLL)
    start_sibling()
    client.command("stop-worker", port=server.port)
    gates.push()


def test_a_stopping_server_forwards(
    start_server: StartServer, start_sibling: StartSibling, gates: Gates
) -> None:
    server = start_server("--shutdown-timeout", "60", **NO_POLL)
    running = gates.push()
    start_sibling()
    server.process.terminate()
    wait_until(lambda: "Stopping" in server.log)
    gates.push()
    gates.open(running)
    assert server.wait() == 0


def test_what_a_stopping_server_gives_back_is_taken_up(
    start_server: StartServer, start_sibling: StartSibling, gates: Gates
) -> None:
    server = start_server("--shutdown-timeout", "0.1", **STORES_ALL, **NO_POLL)
    running = gates.push()
    sibling = start_sibling()
    assert server.terminate() == 0
    assert gates.await_run(running).owner_id == id_of(sibling)


def test_what_becomes_due_at_a_busy_server_starts_on_an_idle_one(
    start_server: StartServer, start_sibling: StartSibling, gates: Gates
) -> None:
    start_server(**NO_POLL)
    gates.push()
    row = using(run_after=timedelta(seconds=2)).push(tasks.noop)
    start_sibling("--queues", "none")  # which has no due times of others
    start_sibling()
    row.wait(60)


def test_what_is_pushed_back_or_resumed_starts_on_an_idle_server(
    start_server: StartServer, start_sibling: StartSibling, gates: Gates, port: int
) -> None:
    failed = push_task_to_queue(tasks.noop)
    finish([failed], "ValueError")
    start_server(**NO_POLL)
    start_sibling()
    with hinting.hints_to("localhost", port):  # whoever was refused before is silent for a second
        pause_queue("paused")
        paused = using(queue="paused").push(tasks.noop)
        gates.push()
        assert failed.retry()
        failed.wait(60)
        resume_queue("paused")
        paused.wait(60)


def test_a_frozen_sibling_holds_nobody_up(
    start_server: StartServer, start_sibling: StartSibling, gates: Gates
) -> None:
    start_server(**NO_POLL)
    gates.push()
    frozen, idle = start_sibling(), start_sibling()
    frozen.freeze()
    try:
        assert gates.push().owner_id == id_of(idle)
    finally:
        frozen.thaw()


def test_siblings_that_are_gone_or_cannot_be_reached_hold_nobody_up(
    start_server: StartServer, start_sibling: StartSibling, gates: Gates
) -> None:
    with ExitStack() as stack:
        door = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # from then on the system answers nobody who connects
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(door.getsockname())
        for port in (door.getsockname()[1], free_port(), free_port()):
            leases.register(address="127.0.0.1", port=port, workers=1, queues=None, seconds=3600)
        start_server(**NO_POLL)
        start_sibling()
        gates.push()
        gates.push()
