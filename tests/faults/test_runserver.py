"""`runserver` with the setting RUNSERVER: one process answers requests and runs tasks."""

import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.faults.development import (
    QUIT,
    TASK,
    EditedSite,
    Runserver,
    all_are_gone,
    changes_seen,
    edit,
    edit_and_reload,
)
from tests.integration.test_places import ELSEWHERE
from tests.support import (
    manage,
    wait_until,
)

pytestmark = [pytest.mark.any_database, pytest.mark.usefixtures("transactional_db")]

Start = Callable[..., Runserver]


@pytest.fixture
def start_runserver(site: EditedSite, port: int, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a runserver, which is ended with the test."""
    started: list[Runserver] = []

    def start(*options: str, **extra: str) -> Runserver:
        log = tmp_path / f"runserver-{len(started)}.log"
        values = {"LEEK_RUNSERVER": "true", **site.environment, **extra}
        started.append(Runserver(port, log, *options, **values))
        return started[-1]

    yield start
    for server in started:
        processes = server.processes
        server.kill()
        for process in processes[1:]:  # Django's own child would go on
            if not all_are_gone([process]):
                os.kill(process, signal.SIGKILL)
        wait_until(partial(all_are_gone, processes), "the end of runserver")


def listens(port: int) -> bool:
    """Tell whether somebody listens at a port."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("options", [(), ("--noreload",)])
def test_what_a_view_pushes_is_run_in_the_same_process(
    start_runserver: Start, site: EditedSite, port: int, options: tuple[str, ...]
) -> None:
    site.tasks.write_text("import os\n\n\ndef task():\n    return os.getpid()\n")
    server = start_runserver(*options).and_server()
    assert f"leek_server is ready at localhost:{port}" in server.log
    row = server.push()
    assert row.wait(60) == server.processes[-1]


def test_what_a_task_logs_goes_to_the_console(start_runserver: Start, site: EditedSite) -> None:
    site.tasks.write_text(
        "import logging\n\n\ndef task():\n    logging.getLogger('site').warning('at work')\n"
    )
    server = start_runserver().and_server()
    row = server.push()
    row.wait(60)
    assert f"[task {row.pk} edited_tasks.task] at work" in server.log
    wait_until(lambda: f"Task {row.pk} edited_tasks.task succeeded" in server.log)


@pytest.mark.parametrize("isolate", ["false", "true"])
def test_a_reload_runs_the_code_as_it_was_edited(
    start_runserver: Start, site: EditedSite, isolate: str
) -> None:
    server = start_runserver(LEEK_ISOLATE=isolate).and_server()
    assert server.push().wait(60) == "old"
    edit_and_reload(server, site.tasks, TASK.format("new"))
    wait_until(lambda: server.log.count(QUIT) > 1, "the next site")
    assert server.push().wait(60) == "new"


@pytest.mark.parametrize("isolate", ["false", "true"])
def test_a_running_task_goes_back_at_no_cost_at_a_reload(
    start_runserver: Start, site: EditedSite, isolate: str
) -> None:
    site.write_endless_task()
    server = start_runserver(LEEK_ISOLATE=isolate).and_server()
    row = server.push()
    wait_until(site.began.exists)
    edit_and_reload(server, site.tasks, TASK.format("mended"))
    assert row.wait(60) == "mended"
    row.refresh_from_db()
    assert (row.crashes, row.tries, row.suspect) == (0, 1, False)


def test_a_mistake_in_the_code_is_shown_and_its_correction_awaited(
    start_runserver: Start, site: EditedSite
) -> None:
    server = start_runserver().and_server()
    right = site.urls.read_text()
    edit(site.urls, right + "\nmistake = (\n", lambda: changes_seen(server))
    wait_until(lambda: "SyntaxError" in server.log)
    assert site.push().wait(60) == "old"
    edit(site.urls, right, lambda: changes_seen(server) > 1)
    wait_until(lambda: server.log.count(QUIT) > 1, "the next site")
    assert server.push().wait(60) == "old"


@pytest.mark.parametrize("options", [(), ("--noreload",)])
@pytest.mark.parametrize("isolate", ["false", "true"])
def test_ctrl_c_leaves_nothing_behind(
    start_runserver: Start, port: int, options: tuple[str, ...], isolate: str
) -> None:
    server = start_runserver(*options, LEEK_ISOLATE=isolate).and_server()
    processes = server.press_ctrl_c()
    wait_until(lambda: all_are_gone(processes), "the end of all")
    assert not listens(port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_running_task_goes_back_at_no_cost_at_the_end(
    start_runserver: Start, site: EditedSite, number: int
) -> None:
    site.write_endless_task()
    server = start_runserver("--noreload").and_server()
    row = server.push()
    wait_until(site.began.exists)
    server.process.send_signal(number)
    assert server.wait() == 0
    row.refresh_from_db()
    assert (row.status, row.crashes, row.tries) == ("READY", 0, 0)


@pytest.mark.parametrize(
    "values", [{"LEEK_RUNSERVER": "false"}, {"DJANGO_SETTINGS_MODULE": "production"}]
)
def test_nothing_listens_without_the_setting_or_without_debug(
    start_runserver: Start, site: EditedSite, port: int, values: dict[str, str]
) -> None:
    production = "from edited_settings import *\nDEBUG = False\nALLOWED_HOSTS = ['*']\n"
    site.settings.with_name("production.py").write_text(production)
    server = start_runserver(**values)
    row = server.push()
    assert not listens(port)
    assert row.status == "READY"
    assert ("leek.W003" in server.log) is ("DJANGO_SETTINGS_MODULE" in values)


def test_tasks_are_left_to_a_server_that_runs_already(
    start_runserver: Start, start_server: StartServer, site: EditedSite, port: int
) -> None:
    site.tasks.write_text("import os\n\n\ndef task():\n    return os.getpid()\n")
    running = start_server(**site.environment)
    server = start_runserver()
    wait_until(lambda: "No leek_server is started here" in server.log)
    assert f"port {port} of 127.0.0.1 is in use" in server.log
    assert server.push().wait(60) == running.process.pid


def test_the_site_is_served_where_all_places_are_on_other_machines(start_runserver: Start) -> None:
    server = start_runserver(LEEK_TASKS_HOST=f"{ELSEWHERE}:1,{ELSEWHERE}:2")
    problem = f"No leek_server is started here: none of {ELSEWHERE}:1, {ELSEWHERE}:2 is at this"
    wait_until(lambda: problem in server.log)
    assert not server.ended


def test_the_site_is_served_before_its_tables_are_made(
    start_runserver: Start, tmp_path: Path
) -> None:
    database = {"DATABASE_URL": f"sqlite:///{tmp_path / 'new.sqlite3'}", "TESTS_DATABASE_NAME": ""}
    server = start_runserver(**database)
    wait_until(lambda: re.search("ERROR .*manage.py migrate", server.log))
    assert not server.ended
    assert manage("migrate", "-v0", **database).returncode == 0
    server.and_server()
