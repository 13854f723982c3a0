"""A server that the tests of a module share."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import DjangoDbBlocker

from tests.integration.backend.contract.framework import TaskResult
from tests.support import ROOT, LeekServer, free_port, whole_lines

# A site whose log has all records of the framework.
SETTINGS = """
from tests.settings import *

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"short": {"format": "%(levelname)s|%(name)s|%(message)s|"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "short"}},
    "loggers": {
        name: {"handlers": ["stderr"], "level": "DEBUG", "propagate": False}
        for name in ("django.tasks", "django_tasks", "django.dispatch")
    },
}
"""

Told = Callable[[TaskResult], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of the server that a module shares."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def transactional_db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Flush the database after each module, where in other packages that is after each test."""
    with django_db_blocker.unblock():
        yield
        call_command("flush", verbosity=0, interactive=False)


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest, transactional_db: None, folder: Path
) -> Iterator[LeekServer]:
    """Return a server that the tests of a module share; its site records the signals it sends."""
    (folder / "recording_settings.py").write_text(SETTINGS)
    (folder / "signals").touch()
    with pytest.MonkeyPatch.context() as patch:
        port = free_port()
        patch.setenv("LEEK_TASKS_PORT", str(port))
        running = LeekServer(
            port,
            folder / "server.log",
            DJANGO_SETTINGS_MODULE="recording_settings",
            PYTHONPATH=os.pathsep.join([str(ROOT), str(folder)]),
            TMPDIR=str(folder),
            TESTS_FRAMEWORK_RECEIVERS="record",
            TESTS_SIGNALS=str(folder / "signals"),
        )
        try:
            yield running.wait_until_ready()
        finally:
            running.kill()
    if "logs_errors" not in request.keywords:
        assert not running.errors, running.log


@pytest.fixture
def told(server: LeekServer, folder: Path) -> Told:
    """Return a function that returns what receivers were told of a task."""

    def of(result: TaskResult) -> list[dict[str, Any]]:
        lines = whole_lines(folder / "signals")
        return [told for line in lines if (told := json.loads(line))["id"] == result.id]

    return of
