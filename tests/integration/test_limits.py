"""How many tasks run at a time, and how many start in a period, over all servers."""

from collections import Counter, defaultdict
from datetime import timedelta
from pathlib import Path

import pytest

from leek import lifecycle
from leek.api import push_many, push_task_to_queue, using
from leek.exceptions import TaskFailed
from leek.models import Gates, QueuedTasks, State, SuccessTasks
from tests.conftest import StartServer
from tests.site import policies, tasks
from tests.support import free_port, wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a file to which tasks write what they do."""
    return tmp_path / "log"


def most_at_a_time(log: Path) -> dict[str, int]:
    """Return how many tasks of each name have run at a time, by their own log."""
    running: Counter[str] = Counter()
    most: dict[str, int] = defaultdict(int)
    for line in log.read_text().splitlines():
        name, what, _ = line.split()
        running[name] += 1 if what == "begins" else -1
        most[name] = max(most[name], running[name])
    return most


def wait_for_all(rows: list[QueuedTasks]) -> None:
    """Wait until these tasks have succeeded."""
    for row in rows:
        row.wait(60)


def start_three(start_server: StartServer, *arguments: str, **extra: str) -> None:
    """Start three servers, of which one gets the hints."""
    start_server(*arguments, **extra)
    for _ in range(2):
        start_server(*arguments, port=free_port(), **extra)


@pytest.mark.parametrize("arguments", [(), ("--isolate",)])
def test_no_more_run_at_a_time_than_the_limit(
    start_server: StartServer, log: Path, arguments: tuple[str, ...]
) -> None:
    start_three(start_server, "--workers", "3", *arguments)
    wait_for_all(push_many([(policies.two_at_a_time, (str(log), 0.02), {})] * 40))
    assert most_at_a_time(log) == {"few": 2}


def test_each_key_has_a_limit_of_its_own(start_server: StartServer, log: Path) -> None:
    start_three(start_server, "--workers", "4")
    arguments = [(str(log), user, 0.02) for user in (1, 2, 3) * 8]
    wait_for_all(push_many([(policies.one_for_each_user, each, {}) for each in arguments]))
    assert most_at_a_time(log) == {"1": 1, "2": 1, "3": 1}


def test_async_tasks_have_limits_too(start_server: StartServer, log: Path) -> None:
    start_server("--workers", "2")
    wait_for_all(push_many([(policies.one_slow_at_a_time, (str(log), n), {}) for n in range(12)]))
    lines = [line.split()[:2] for line in log.read_text().splitlines()]
    assert [first[0] == second[0] for first, second in zip(lines[::2], lines[1::2], strict=True)]
    assert [what for _, what in lines] == ["begins", "ends"] * 12


def test_tasks_that_wait_for_a_limit_hold_up_no_others(
    start_server: StartServer, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    start_server("--workers", "2")
    limited = using(limit=1)
    first = limited.push(tasks.wait_for, str(gate))
    wait_until(Path(f"{gate}.begun").exists)
    others = [limited.push(tasks.wait_for, str(gate)) for _ in range(5)]
    assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
    wait_until(lambda: QueuedTasks.objects.blocked().count() == 5)
    first.refresh_from_db()
    assert first.state == State.RUNNING
    gate.touch()
    wait_for_all([first, *others])


def test_no_more_start_in_any_period_than_the_rate(start_server: StartServer, log: Path) -> None:
    start_three(start_server, "--workers", "2")
    wait_for_all(push_many([(policies.now_and_then, (str(log),), {})] * 35))
    assert len(log.read_text().splitlines()) == 35
    # Each was counted as started between these two times, however far apart they are.
    runs = [*SuccessTasks.objects.values_list("started_at", "finished_at")]
    for began, _ in runs:
        end = began + timedelta(seconds=1)
        assert sum(began <= start and finished < end for start, finished in runs) <= 10


def test_a_crash_makes_room(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server()
    rows = [push_task_to_queue(policies.die_within_a_limit, str(tmp_path / "marker"))]
    server.wait()
    rows.append(push_task_to_queue(policies.die_within_a_limit, str(tmp_path / "marker")))
    start_server()
    assert [row.wait(60) for row in rows] == [1, 1]


def test_what_waits_is_found_by_the_next_server(start_server: StartServer, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    server = start_server("--workers", "2")
    rows = [using(limit=1).push(tasks.wait_for, str(gate)) for _ in range(4)]
    wait_until(lambda: QueuedTasks.objects.blocked().count() == 3)
    server.kill()
    gate.touch()
    start_server()
    wait_for_all(rows)


def test_a_drain_ends_when_all_have_had_their_turn(start_server: StartServer, log: Path) -> None:
    rows = push_many([(policies.few_at_a_time, (str(log), 0.0), {})] * 10)
    server = start_server("--workers", "4", "--drain", wait=False)
    assert server.wait() == 0
    for row in rows:
        row.refresh_from_db()
    assert {row.state for row in rows} == {State.SUCCESSFUL}


def test_a_drain_takes_what_waited_at_a_gate_before_it_began(
    start_server: StartServer, log: Path
) -> None:
    row = using(limit=1, key="x").push(policies.note, str(log), 1)
    QueuedTasks.objects.update(state=State.BLOCKED, blocked_by="limit:x")
    assert start_server("--drain", wait=False).wait() == 0
    row.refresh_from_db()
    assert row.state == State.SUCCESSFUL


@pytest.mark.logs_errors
def test_a_task_fails_that_cannot_be_counted(start_server: StartServer, log: Path) -> None:
    start_server()
    row = push_task_to_queue(policies.badly_counted, str(log))
    with pytest.raises(TaskFailed, match="ZeroDivisionError"):
        row.wait(60)


def test_a_changed_limit_holds_from_the_next_start_on(start_server: StartServer, log: Path) -> None:
    start_server("--workers", "4")
    wait_for_all([using(limit=1, key="x").push(policies.few_at_a_time, str(log), 0.0)])
    assert Gates.objects.get(name="limit:x").capacity == 1
    wait_for_all([using(limit=3, key="x").push(policies.few_at_a_time, str(log), 0.0)])
    assert Gates.objects.get(name="limit:x").capacity == 3


def test_what_waits_is_let_go_on_by_its_priority_and_its_age() -> None:
    urgencies = {"late": -5, "urgent": 5, "as urgent": 5, "usual": 0}
    pushed = {
        using(priority=priority).push(tasks.noop).pk: name for name, priority in urgencies.items()
    }
    QueuedTasks.objects.update(state=State.BLOCKED, blocked_by="limit:x")
    let_go_on = []
    for _ in pushed:
        assert lifecycle.unblock("limit:x", 1, None) == 1
        row = QueuedTasks.objects.get(state=State.READY)
        let_go_on.append(pushed[row.pk])
        row.delete()
    assert let_go_on == ["urgent", "as urgent", "usual", "late"]


@pytest.mark.parametrize("priorities", [(-5, 5, 0), (5, -5, 0), (-5, 0, 5)])
def test_of_what_waits_the_most_urgent_runs_first(
    start_server: StartServer, log: Path, priorities: tuple[int, ...]
) -> None:
    gate = log.with_name("gate")
    start_server("--workers", "2")
    first = using(limit=1, key="x").push(tasks.wait_for, str(gate))
    wait_until(Path(f"{gate}.begun").exists)
    rows = [
        using(limit=1, key="x", priority=priority).push(policies.note, str(log), priority)
        for priority in priorities
    ]
    wait_until(lambda: QueuedTasks.objects.blocked().count() == 3)
    # The other Worker is kept busy: two that are let go on at once would race for the limit.
    other = push_task_to_queue(tasks.wait_for, f"{gate}-2")
    wait_until(Path(f"{gate}-2.begun").exists)
    gate.touch()
    wait_for_all([first, *rows])
    # Of the others one may have been let go on, and sent back, before the first was counted.
    assert log.read_text().split()[0] == "5"
    Path(f"{gate}-2").touch()
    wait_for_all([other])
