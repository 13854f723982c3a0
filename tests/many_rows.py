"""Many rows, made by the database itself, for which Python would take long."""

from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from leek.models import FailedTasks, QueuedTasks, State, SuccessTasks

LONG_TABLES = {model._meta.db_table for model in (QueuedTasks, SuccessTasks, FailedTasks)}


def analyze() -> None:
    """Have database servers learn what the tables hold, as they do by themselves in time."""
    if connection.vendor == "sqlite":
        return  # it does not learn
    with connection.cursor() as cursor:
        for table in LONG_TABLES:
            cursor.execute(f"ANALYZE {'TABLE ' if connection.vendor == 'mysql' else ''}{table}")


def add_finished(number: int) -> None:
    """Add tasks that have succeeded, with their outcome."""
    _add(number, State.SUCCESSFUL, timezone.now())
    _add_outcomes(SuccessTasks, State.SUCCESSFUL, {"result": "NULL"})


def add_failed(number: int) -> None:
    """Add tasks that have failed, with their outcome."""
    _add(number, State.FAILED, timezone.now())
    error = {"exception_type": "'ValueError'", "exception_message": "'no'", "traceback": "'no'"}
    _add_outcomes(FailedTasks, State.FAILED, error)


def add_deferred(number: int) -> None:
    """Add tasks that are due in a year."""
    _add(number, State.DEFERRED, timezone.now() + timedelta(days=365))


def add_ready(number: int) -> None:
    """Add tasks that could be claimed."""
    _add(number, State.READY, timezone.now())


def _add(number: int, state: State, run_after: datetime) -> None:
    """Add a row and double it until there are so many."""
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


def _add_outcomes(
    kind: type[SuccessTasks | FailedTasks], state: State, columns: dict[str, str]
) -> None:
    columns = {"task_id": "id", "started_at": "pushed_at", "finished_at": "pushed_at", **columns}
    _execute(
        f"INSERT INTO {kind._meta.db_table} ({', '.join(columns)})"
        f" SELECT {', '.join(columns.values())} FROM {QueuedTasks._meta.db_table}"
        f" WHERE state = {state.value}"
    )


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
