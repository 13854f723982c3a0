"""The site that is measured: its database, its rows and its server."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from leek import client
from leek.bench.figures import Plan
from leek.bench.measures import Measures
from leek.bench.serving import HOST
from leek.models import QueuedTasks, State, SuccessTasks
from tests.support import LeekServer, free_port


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
            with client.hints_to(HOST, server.port):
                yield server.wait_until_ready()
        finally:
            server.terminate()


def measures_at(server: LeekServer, tasks: int) -> Measures:
    """Return leek_bench's measures at a server that has not run anything yet."""
    return Measures(connection.alias, Plan(tasks, 1), server.port, lambda _: None)


def clear() -> None:
    """Empty all tables."""
    call_command("flush", verbosity=0, interactive=False)


def add_finished(number: int) -> None:
    """Add tasks that have succeeded, with their outcome."""
    _add(number, State.SUCCESSFUL, timezone.now())
    columns = "result, started_at, finished_at"
    _execute(
        f"INSERT INTO {SuccessTasks._meta.db_table} (task_id, {columns})"
        f" SELECT id, NULL, pushed_at, pushed_at FROM {QueuedTasks._meta.db_table}"
        f" WHERE state = {State.SUCCESSFUL.value}"
    )


def add_deferred(number: int) -> None:
    """Add tasks that are due in a year."""
    _add(number, State.DEFERRED, timezone.now() + timedelta(days=365))


def _add(number: int, state: State, run_after: datetime) -> None:
    """Add a row and double it, which no database needs Python for."""
    if not number:
        return
    QueuedTasks.objects.create(
        name="tests.site.tasks.noop",
        payload="x" * 110,
        state=state,
        run_after=run_after,
        pushed_at=timezone.now(),
    )
    meta = QueuedTasks._meta
    columns = ", ".join(
        connection.ops.quote_name(str(field.column))
        for field in meta.concrete_fields
        if not field.primary_key
    )
    there = 1
    while there < number:
        more = min(there, number - there)
        _execute(
            f"INSERT INTO {meta.db_table} ({columns}) SELECT {columns} FROM {meta.db_table}"
            f" WHERE state = {state.value} LIMIT {more}"
        )
        there += more


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
