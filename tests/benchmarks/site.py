"""The site that is measured: its database and its server."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management import call_command
from django.core.management.commands import flush
from django.db import connection

from leek import hinting
from leek.bench.figures import Plan
from leek.bench.measures import Measures
from leek.bench.serving import HOST
from leek.models import QueuedTasks
from tests.support import LeekServer, free_port, wait_until


@contextmanager
def test_database() -> Iterator[None]:
    """Make the test database, also for processes that are started, and destroy it at the end."""
    former = str(connection.settings_dict["NAME"])
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    os.environ["TESTS_DATABASE_NAME"] = str(connection.settings_dict["NAME"])
    try:
        yield
    finally:
        connection.creation.destroy_test_db(former, verbosity=0)


@contextmanager
def running_server(*arguments: str, port: int | None = None, **extra: str) -> Iterator[LeekServer]:
    """Run a leek_server that the pushes of this process are hinted to."""
    with tempfile.TemporaryDirectory(prefix="leek-benchmarks-") as folder:
        log = Path(folder) / "log"
        server = LeekServer(port or free_port(), log, "-v0", *arguments, **extra)
        try:
            with hinting.hints_to(HOST, server.port):
                yield server.wait_until_ready()
        finally:
            server.terminate()


def measures_at(server: LeekServer, tasks: int) -> Measures:
    """Return leek_bench's measures at a server that has not run anything yet."""
    return Measures(connection.alias, Plan(tasks, 1), server.port, lambda _: None)


def await_all(*, pause: float = 0.005) -> None:
    """Wait until no task is ready or running; look every `pause` seconds."""
    tasks = QueuedTasks.objects.all()
    wait_until(
        lambda: not tasks.ready().exists() and not tasks.running().exists(),
        "all tasks",
        pause=pause,
    )


def clear() -> None:
    """Empty all tables, by Django's own command: that of the tests leaves dead rows behind."""
    call_command(flush.Command(), verbosity=0, interactive=False)
