"""Workers with child processes: what a task does to its process costs only that task."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from leek.api import push_many, push_task_to_queue, using
from leek.exceptions import TaskFailed
from leek.models import QueuedTasks, State
from leek.policy import Terms
from leek.retry import RetryPolicy
from leek.server.executor import Executor
from leek.server.spawning import spawn
from tests.conftest import StartServer
from tests.faults.children import slow_children, spoilt_children
from tests.faults.development import family
from tests.site import tasks
from tests.site.models import Runs
from tests.support import STORES_ALL, LeekServer, is_gone, manage, wait_until

ONE_TRY = {"LEEK_MAX_RETRIES": "1", "LEEK_MAX_CRASHES": "1"}


def process_of(gate: Path) -> int:
    """Return the process that runs the task at this gate, as soon as it does."""
    begun = Path(f"{gate}.begun")
    wait_until(lambda: begun.exists() and begun.read_text(), "the start of the task")
    return int(begun.read_text())


def failure_of(row: QueuedTasks) -> TaskFailed:
    """Return the error of a task that fails."""
    with pytest.raises(TaskFailed) as caught:
        row.wait(60)
    return caught.value


def processes(number: int) -> list[int]:
    """Return the processes in which so many tasks run, one after the other."""
    push_many([(tasks.record, (str(task),), {}) for task in range(number)])
    wait_until(lambda: Runs.objects.count() == number, "all runs")
    return list(Runs.objects.order_by("pk").values_list("process", flat=True))


def has_run_all_that_was_put_off() -> bool:
    """Make due what was put off, and tell whether nothing is left to do."""
    put_off = list(QueuedTasks.objects.deferred().values_list("pk", flat=True))
    # By their keys: by way of an index MariaDB may meet the server in a deadlock.
    QueuedTasks.objects.filter(pk__in=put_off).update(run_after=timezone.now())
    return not QueuedTasks.objects.exclude(state=State.SUCCESSFUL).exists()


@pytest.mark.logs_errors
@pytest.mark.parametrize(
    ("a_callable", "arguments", "kind", "message"),
    [
        (tasks.signal_itself, (int(signal.SIGSEGV),), "WorkerLost", "was killed by SIGSEGV"),
        (tasks.signal_itself, (int(signal.SIGKILL),), "WorkerLost", "was killed by SIGKILL"),
        (tasks.exit_at_once, (3,), "WorkerLost", "exited with 3"),
        (tasks.exit_at_once, (0,), "WorkerLost", "exited with 0"),
        (tasks.close_all_files, (), "WorkerLost", "exited with 1"),
        (tasks.leave, (3,), "SystemExit", "3"),
        (tasks.interrupt, (), "KeyboardInterrupt", ""),
    ],
)
def test_an_end_of_the_process_costs_only_the_task(
    start_server: StartServer,
    a_callable: Callable[..., Any],
    arguments: tuple[Any, ...],
    kind: str,
    message: str,
) -> None:
    server = start_server("--isolate", **ONE_TRY)
    row = push_task_to_queue(a_callable, *arguments)
    others = push_many([(tasks.add, (number, 1), {}) for number in range(5)])
    error = failure_of(row)
    assert error.type.endswith(kind)
    assert message in str(error)
    assert [other.wait(60) for other in others] == [1, 2, 3, 4, 5]
    assert {other.tries + other.crashes for other in others} == {1}
    assert not server.ended


def test_a_child_is_a_site_like_the_server(start_server: StartServer) -> None:
    start_server("--isolate", "--workers", "2")
    arguments = push_task_to_queue(tasks.command_line).wait(60)
    assert arguments[1:3] == ["leek_server", "--port"]
    assert push_task_to_queue(tasks.add_slowly, 1, 2).wait(60) == 3
    assert push_task_to_queue(tasks.terminate_a_child).wait(60) == -signal.SIGTERM
    assert push_task_to_queue(tasks.let_a_child_return, 0).wait(60) == 1


@pytest.mark.logs_errors
@pytest.mark.parametrize(
    "a_callable", [tasks.sleep_for_ever, tasks.hold_the_interpreter, tasks.never_end]
)
def test_a_task_that_runs_too_long_is_killed(
    start_server: StartServer, a_callable: Callable[..., Any], tmp_path: Path
) -> None:
    server = start_server("--isolate", **ONE_TRY)
    (process,) = wait_until(lambda: family(server.process.pid), "the child")
    row = using(timeout=0.3).push(a_callable, str(tmp_path / "gate"))
    error = failure_of(row)
    assert (error.type, row.tries, row.crashes) == ("leek.exceptions.TaskTimeout", 1, 0)
    assert "it ran longer than 0.3 s, and its process was killed" in str(error)
    assert is_gone(process)
    assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3


@pytest.mark.logs_errors
def test_a_thread_that_runs_too_long_is_interrupted(start_server: StartServer) -> None:
    start_server(**ONE_TRY)
    row = using(timeout=0.3).push(tasks.count_for_ever)
    error = failure_of(row)
    assert (error.type, row.tries) == ("leek.exceptions.TaskTimeout", 1)
    assert "count_for_ever" in error.traceback
    assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3


def test_a_child_is_replaced_after_so_many_tasks(start_server: StartServer) -> None:
    server = start_server("--isolate", "--max-tasks", "2")
    ran_in = processes(6)
    assert [ran_in.count(process) for process in dict.fromkeys(ran_in)] == [2, 2, 2]
    assert server.process.pid not in ran_in
    assert not server.ended


def test_a_child_that_holds_too_much_memory_is_replaced(start_server: StartServer) -> None:
    server = start_server("--isolate", "--max-memory", "200")
    before = push_task_to_queue(os.getpid).wait(60)
    assert push_task_to_queue(os.getpid).wait(60) == before
    push_task_to_queue(tasks.hold_memory, 200_000_000).wait(60)
    assert push_task_to_queue(os.getpid).wait(60) != before
    assert "it is replaced" in server.log


def test_a_child_that_does_not_end_is_killed(start_server: StartServer) -> None:
    start_server("--isolate", "--max-tasks", "1")
    hanging = push_task_to_queue(tasks.start_a_thread_that_never_ends).wait(60)
    push_task_to_queue(tasks.noop).wait(60)
    assert is_gone(hanging)


@pytest.mark.parametrize("a_callable", [tasks.sleep_for_ever, tasks.hold_the_interpreter])
def test_the_children_of_a_killed_server_end_with_it(
    start_server: StartServer, a_callable: Callable[..., Any], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    server = start_server("--isolate")
    push_task_to_queue(a_callable, str(gate))
    process = process_of(gate)
    server.kill()
    wait_until(lambda: is_gone(process), "the end of the child")


@pytest.mark.any_database
@pytest.mark.parametrize("number", range(3))
def test_a_child_whose_server_ends_before_it_is_ready_says_nothing(number: int) -> None:
    child, pipe = spawn("leek.server.child", -1, stderr=subprocess.PIPE)
    with child, pipe:
        executor = Executor(Terms(RetryPolicy(1, 0, 0)), "auto", park_for=0)
        for message in (sys.argv, executor)[:number]:
            pipe.send(message)
        pipe.close()
        assert child.communicate(timeout=60)[1] == b""


def test_what_a_child_still_runs_at_the_deadline_is_killed_and_given_back(
    start_server: StartServer, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    options = ("--isolate", "--workers", "2", "--shutdown-timeout", "0.1")
    server = start_server(*options, **STORES_ALL)
    row = push_task_to_queue(tasks.sleep_for_ever, str(gate))
    process = process_of(gate)
    assert server.terminate() == 0
    assert is_gone(process)
    row.refresh_from_db()
    assert (row.state, row.tries, row.crashes) == (State.READY, 0, 0)
    assert f"Task {row.pk} still runs at the deadline" in server.log


def test_a_signal_to_all_processes_does_not_end_the_tasks(
    start_server: StartServer, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    server = start_server("--isolate")
    row = push_task_to_queue(tasks.wait_for, str(gate))
    child = process_of(gate)
    os.kill(child, signal.SIGTERM)
    os.kill(child, signal.SIGINT)
    server.process.send_signal(signal.SIGTERM)
    gate.touch()
    assert server.wait() == 0
    row.wait(60)
    assert (row.tries, row.crashes) == (1, 0)


@pytest.mark.logs_errors
def test_what_a_crashed_task_has_started_ends_with_it(
    start_server: StartServer, tmp_path: Path
) -> None:
    start_server("--isolate", **ONE_TRY)
    gate = tmp_path / "gate"
    failure_of(push_task_to_queue(tasks.leave_a_process_and_exit, str(gate)))
    wait_until(lambda: is_gone(process_of(gate)), "the end of the process that was left")


def test_a_charged_task_has_a_process_of_its_own(start_server: StartServer) -> None:
    start_server("--isolate")
    rows = [push_task_to_queue(os.getpid) for _ in range(2)]
    before = [row.wait(60) for row in rows]
    charged = using(run_after=timedelta(hours=1)).push(os.getpid)
    QueuedTasks.objects.filter(pk=charged.pk).update(crashes=2, run_after=timezone.now())
    push_task_to_queue(tasks.noop)
    alone = charged.wait(60)
    assert before[0] == before[1] != alone
    assert push_task_to_queue(os.getpid).wait(60) != alone


@pytest.mark.parametrize("options", [[], ["--isolate"]])
def test_suspects_are_cleared_one_by_one_in_one_process_which_then_ends(
    start_server: StartServer, options: list[str]
) -> None:
    suspects = push_many([(os.getpid, (), {})] * 20)
    QueuedTasks.objects.update(state=State.DEFERRED, suspect=True)
    server = start_server(*options)
    (process,) = {row.wait(60) for row in suspects}
    assert process != server.process.pid
    assert push_task_to_queue(os.getpid).wait(60) != process
    wait_until(lambda: is_gone(process), "the end of the process")


@pytest.mark.logs_errors
def test_a_child_whose_pipe_is_dead_is_replaced(start_server: StartServer, tmp_path: Path) -> None:
    start_server("--isolate")
    gate = tmp_path / "gate"
    deaf = push_task_to_queue(tasks.shut_the_pipe_at, str(gate)).wait(60)
    gate.touch()
    assert process_of(gate) == deaf
    row = push_task_to_queue(os.getpid)
    assert row.wait(60) != deaf
    assert (row.tries, row.crashes) == (1, 0)


@pytest.mark.logs_errors
def test_an_interrupted_query_does_not_spoil_the_next_tasks(start_server: StartServer) -> None:
    start_server(**ONE_TRY)
    for number in range(3):
        error = failure_of(using(timeout=0.3).push(tasks.query_for_ever))
        assert error.type == "leek.exceptions.TaskTimeout"
        assert push_task_to_queue(tasks.count_rows, number).wait(60) == number


@pytest.mark.parametrize("option", ["--isolate", "--no-isolate"])
def test_a_site_that_only_its_manage_py_finds_has_child_processes(
    tmp_path: Path, option: str
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    assert manage("startproject", "shop", str(site)).returncode == 0
    (site / "shop" / "tasks.py").write_text("def answer():\n    return 42\n")
    with (site / "shop" / "settings.py").open("a") as settings:
        settings.write('INSTALLED_APPS += ["leek"]\n')
    script = [sys.executable, str(site / "manage.py")]
    charge = "from leek.models import QueuedTasks; QueuedTasks.objects.update(crashes=1)"
    free = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    for arguments in (
        ["migrate", "-v0"],
        ["leek_push", "shop.tasks.answer"],
        ["shell", "-v0", "-c", charge],
        ["leek_server", option, "--drain", "--port", "0"],
        [
            "shell",
            "-v0",
            "-c",
            "from leek.models import QueuedTasks as Q; print(Q.objects.get().result)",
        ],
    ):
        done = subprocess.run(
            [*script, *arguments], cwd="/", env=free, capture_output=True, text=True, check=True
        )
    assert done.stdout.strip() == "42"


@pytest.mark.logs_errors
def test_a_task_waits_until_a_child_can_be_had(start_server: StartServer, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    server: LeekServer = start_server("--isolate", PYTHONPATH=spoilt_children(tmp_path, mended))
    row = push_task_to_queue(tasks.add, 1, 2)
    wait_until(lambda: "exited with 7 before it was ready" in server.log, "the report")
    mended.touch()
    assert row.wait(60) == 3
    assert (row.tries, row.crashes) == (1, 0)


@pytest.mark.logs_errors
def test_tasks_that_no_child_can_be_had_for_hold_up_nobody(
    start_server: StartServer, tmp_path: Path
) -> None:
    charged = push_many([(tasks.add, (1, 2), {})] * 3)
    QueuedTasks.objects.update(crashes=1)
    start_server(PYTHONPATH=spoilt_children(tmp_path, tmp_path / "mended"))
    others = push_many([(tasks.add, (number, 1), {}) for number in range(30)])
    assert [row.wait(60) for row in others] == list(range(1, 31))
    (tmp_path / "mended").touch()
    wait_until(has_run_all_that_was_put_off, "all successes")
    assert [row.wait(60) for row in charged] == [3, 3, 3]
    assert {(row.tries, row.crashes) for row in charged} == {(1, 1)}


def test_a_stop_does_not_wait_for_a_child_that_is_not_ready(
    start_server: StartServer, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    path = slow_children(tmp_path, begun)
    server = start_server("--isolate", "--shutdown-timeout", "1000", PYTHONPATH=path)
    wait_until(begun.exists, "the start of the child")
    assert server.terminate() == 0
