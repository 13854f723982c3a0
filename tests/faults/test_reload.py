"""`leek_server --reload`: the code is edited while it runs, and it is stopped in all ways."""

import os
import signal
import socket
from collections.abc import Callable, Iterator

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from leek.models import QueuedTasks, Servers, State
from tests.conftest import StartServer
from tests.faults.development import (
    TASK,
    EditedSite,
    all_are_gone,
    changes_seen,
    edit,
    edit_and_reload,
    family,
)
from tests.support import LeekServer, wait_until

pytestmark = pytest.mark.any_database

ISOLATE = pytest.mark.parametrize("options", [(), ("--isolate",)], ids=["threads", "isolate"])
BROKEN = "def task(:\n"

Reloading = Callable[..., LeekServer]


@pytest.fixture
def reloading(start_server: StartServer, site: EditedSite) -> Iterator[Reloading]:
    """Return a function that starts a server for the edited site."""
    processes: list[int] = []
    started: list[LeekServer] = []

    def start(*options: str) -> LeekServer:
        started.append(start_server("--reload", *options, **site.environment))
        return started[-1]

    yield start
    for server in started:
        processes += family(server.process.pid)
        server.kill()
    wait_until(lambda: all_are_gone(processes), "the end of the servers")


def is_free(port: int) -> bool:
    """Tell whether nobody listens at a port."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@ISOLATE
def test_the_next_push_runs_the_code_as_it_was_edited(
    reloading: Reloading, site: EditedSite, options: tuple[str, ...]
) -> None:
    server = reloading(*options)
    assert site.push().wait(60) == "old"
    edit_and_reload(server, site.tasks, TASK.format("new"))
    assert site.push().wait(60) == "new"
    assert not server.ended


@ISOLATE
def test_a_running_task_goes_back_at_no_cost_and_runs_as_it_was_edited(
    reloading: Reloading, site: EditedSite, options: tuple[str, ...]
) -> None:
    site.write_endless_task()
    server = reloading(*options)
    row = site.begin_endless_task()
    edit_and_reload(server, site.tasks, TASK.format("mended"))
    assert row.wait(60) == "mended"
    row.refresh_from_db()
    assert (row.crashes, row.tries, row.suspect) == (0, 1, False)


def test_a_running_task_may_end_in_the_usual_time(reloading: Reloading, site: EditedSite) -> None:
    go_on = site.began.with_name("go_on")
    waiting = f"""
import time
from pathlib import Path


def task():
    Path({str(site.began)!r}).touch()
    while not Path({str(go_on)!r}).exists():
        time.sleep(0.01)
    return "in time"
"""
    site.tasks.write_text(waiting)
    server = reloading("--shutdown-timeout", "60")
    row = site.begin_endless_task()
    edit(site.tasks, TASK.format("new"), lambda: changes_seen(server))
    go_on.touch()
    assert row.wait(60) == "in time"


@pytest.mark.logs_errors
def test_a_mistake_in_the_settings_is_shown_and_its_correction_awaited(
    reloading: Reloading, site: EditedSite
) -> None:
    server = reloading()
    right = site.settings.read_text()
    edit(site.settings, right + "\nmistake = (\n", lambda: changes_seen(server))
    wait_until(lambda: "starts when the code has changed" in server.log)
    assert "SyntaxError" in server.log
    row = site.push()
    edit(site.settings, right, lambda: server.log.count("is ready at") > 1)
    assert row.wait(60) == "old"


@pytest.mark.logs_errors
def test_a_setting_that_cannot_be_used_is_shown_and_its_correction_awaited(
    reloading: Reloading, site: EditedSite
) -> None:
    server = reloading()
    right = site.settings.read_text()
    wrong = right + '\nTASKS_QUEUE = {"WORKERS": "many"}\n'
    edit(site.settings, wrong, lambda: changes_seen(server))
    wait_until(lambda: "starts when the code has changed" in server.log)
    assert "TASKS_QUEUE[\"WORKERS\"] is 'many'" in server.log
    edit(site.settings, right, lambda: server.log.count("is ready at") > 1)
    assert site.push().wait(60) == "old"


def test_a_mistake_in_a_task_parks_it_until_it_is_corrected(
    reloading: Reloading, site: EditedSite
) -> None:
    server = reloading()
    row = site.push()
    assert row.wait(60) == "old"
    edit_and_reload(server, site.tasks, BROKEN)
    row.refresh_from_db()
    parked = QueuedTasks.objects.create(**_again(row))
    wait_until(lambda: "is parked" in server.log)
    edit_and_reload(server, site.tasks, TASK.format("mended"))
    assert parked.wait(60) == "mended"
    assert parked.tries == 1


def _again(row: QueuedTasks) -> dict[str, object]:
    """Return the values of a new row for the same task, which cannot be imported here now."""
    names = ("name", "payload", "queue", "priority", "run_after", "pushed_at")
    return {name: getattr(row, name) for name in names}


@ISOLATE
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_processes_gracefully(
    reloading: Reloading, site: EditedSite, port: int, number: int, options: tuple[str, ...]
) -> None:
    site.write_endless_task()
    server = reloading(*options)
    row = site.begin_endless_task()
    children = family(server.process.pid)
    server.process.send_signal(number)
    assert server.wait() == 0
    assert all_are_gone(children)
    assert is_free(port)
    row.refresh_from_db()
    assert (row.state, row.crashes, row.tries) == (State.READY, 0, 0)
    assert not Servers.objects.exists()


def test_ctrl_c_which_all_processes_get_is_one_order(reloading: Reloading, port: int) -> None:
    server = reloading("--shutdown-timeout", "60")
    children = family(server.process.pid)
    for process in (*children, server.process.pid):
        os.kill(process, signal.SIGINT)
    assert server.wait() == 0
    assert all_are_gone(children)
    assert "Traceback" not in server.log
    assert is_free(port)


def test_a_second_signal_shortens_the_wait(reloading: Reloading, site: EditedSite) -> None:
    site.write_endless_task()
    server = reloading("--shutdown-timeout", "600")
    site.begin_endless_task()
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "running tasks have" in server.log)
    assert server.terminate() == 0
    assert "goes back to the queue" in server.log


@pytest.mark.logs_errors
def test_a_signal_ends_what_waits_for_a_correction(reloading: Reloading, site: EditedSite) -> None:
    server = reloading()
    edit(site.settings, "mistake = (\n", lambda: changes_seen(server))
    wait_until(lambda: "starts when the code has changed" in server.log)
    children = family(server.process.pid)
    assert server.terminate() == 0
    assert all_are_gone(children)


@ISOLATE
def test_the_server_ends_with_a_parent_that_is_killed(
    reloading: Reloading, site: EditedSite, port: int, options: tuple[str, ...]
) -> None:
    site.write_endless_task()
    server = reloading(*options)
    row = site.begin_endless_task()
    children = family(server.process.pid)
    server.kill()
    wait_until(lambda: all_are_gone(children), "the end of the children")
    assert is_free(port)
    row.refresh_from_db()
    assert (row.state, row.crashes) == (State.READY, 0)


def test_a_server_that_is_killed_ends_its_parent(reloading: Reloading) -> None:
    server = reloading()
    (child,) = family(server.process.pid)
    os.kill(child, signal.SIGKILL)
    assert server.wait() == 128 + signal.SIGKILL


def test_leek_stop_ends_all(reloading: Reloading) -> None:
    server = reloading()
    call_command("leek_stop", verbosity=0)
    assert server.wait() == 0


@pytest.mark.parametrize(
    "option",
    [("--drain",), ("--idle-timeout", "5"), ("--max-tasks", "5")],
    ids=lambda each: each[0],
)
def test_options_that_end_the_server_are_refused_with_it(option: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match=f"--reload runs .*{option[0]} ends it"):
        call_command("leek_server", "--reload", *option)


def test_child_processes_may_be_replaced_in_it(reloading: Reloading, site: EditedSite) -> None:
    reloading("--isolate", "--max-tasks", "1")
    assert [site.push().wait(60) for _ in range(2)] == ["old", "old"]


def test_call_command_refuses_it() -> None:
    with pytest.raises(CommandError, match="call_command has none"):
        call_command("leek_server", "--reload")
