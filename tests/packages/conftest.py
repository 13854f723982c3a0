"""What the tests of these packages share: the site's settings, its server and its staff."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import django
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from tests.conftest import StartServer
from tests.support import GIVE_UP_AFTER, ROOT, LeekServer, environment

SETTINGS = "tests.packages.settings"
IN_USE = settings.SETTINGS_MODULE == SETTINGS
NEED_DJANGO_6 = ["maintenance_tasks", "overseer", "scheduled_tasks", "tasks_monitor"]

if not IN_USE:
    collect_ignore_glob = ["test_*.py"]
elif django.VERSION < (6, 0):
    collect_ignore = [f"test_{package}.py" for package in NEED_DJANGO_6]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which of these tests this run has left out."""
    if not IN_USE:
        needed = f"the extra `packages`, and DJANGO_SETTINGS_MODULE={SETTINGS}"
        terminalreporter.write_line(f"Left out: tests/packages, which need {needed}.")
    elif django.VERSION < (6, 0):
        packages = ", ".join(NEED_DJANGO_6)
        terminalreporter.write_line(f"Left out: {packages}, which need Django 6.")


Start = Callable[[], LeekServer]


@pytest.fixture
def start(start_server: StartServer) -> Start:
    """Return a function that starts a leek_server of this site."""
    return partial(start_server, DJANGO_SETTINGS_MODULE=SETTINGS)


@pytest.fixture
def server(start: Start) -> LeekServer:
    """Return a running leek_server of this site."""
    return start()


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Return the path of a file that a task may wait for."""
    return tmp_path / "gate"


@contextmanager
def running(*arguments: str) -> Iterator[None]:
    """Run a command of a package beside the server, until it is stopped by SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-m", "django", *arguments],
        env=environment(DJANGO_SETTINGS_MODULE=SETTINGS),
        cwd=ROOT,
    )
    try:
        yield
        process.terminate()
        assert process.wait(GIVE_UP_AFTER) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def staff(transactional_db: None, client: Client) -> Client:
    """Return the browser of a superuser."""
    client.force_login(User.objects.create_superuser("staff"))
    return client
