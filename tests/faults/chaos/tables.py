"""The queue's tables as they are at the end, read by plain SQL."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import OperationalError

PATIENCE = 1.0  # seconds for which a lock is waited for: whoever is at work gives it free

READY, DEFERRED, RUNNING, SUCCESSFUL, FAILED = range(5)


@dataclass(frozen=True)
class Row:
    """A pushed task."""

    id: int
    state: int
    tries: int
    crashes: int
    owner: int | None
    claim: int


@dataclass(frozen=True)
class Stored:
    """The outcome of a task; `error` is the type of a failed one's."""

    task: int
    started_at: datetime
    finished_at: datetime
    error: str | None = None


@dataclass(frozen=True)
class Count:
    """An addition to the number, by a task under a claim."""

    task: int
    owner: int
    claim: int


@dataclass(frozen=True)
class Tables:
    """All rows, and the number that tasks have added to."""

    tasks: list[Row] = field(default_factory=list)
    successes: list[Stored] = field(default_factory=list)
    failures: list[Stored] = field(default_factory=list)
    number: int = 0
    counts: list[Count] = field(default_factory=list)


def prepare(connection: Any) -> None:
    """Have a number to be added to, by a Django connection."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO chaos_number (value) VALUES (0)")


def read(connection: Any) -> Tables:
    """Read all rows by a Django connection."""
    return Tables(
        [
            Row(*row)
            for row in _rows(
                connection, "leek_queuedtasks", "id, state, tries, crashes, owner_id, claim"
            )
        ],
        [
            Stored(task, instant(started), instant(finished))
            for task, started, finished in _rows(
                connection, "leek_successtasks", "task_id, started_at, finished_at"
            )
        ],
        [
            Stored(task, instant(started), instant(finished), error)
            for task, started, finished, error in _rows(
                connection, "leek_failedtasks", "task_id, started_at, finished_at, exception_type"
            )
        ],
        _rows(connection, "chaos_number", "value")[0][0],
        [Count(*row) for row in _rows(connection, "chaos_counts", "task, owner, claim")],
    )


def count_unfinished(connection: Any) -> int:
    """Return how many tasks have neither succeeded nor failed."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT COUNT(*) FROM leek_queuedtasks WHERE state NOT IN ({SUCCESSFUL}, {FAILED})"
        )
        return int(cursor.fetchone()[0])


def is_locked(connection: Any) -> bool:
    """Return whether somebody keeps the file of SQLite locked; no other database is ever so."""
    if connection.vendor != "sqlite":
        return False
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA busy_timeout = {1000 * PATIENCE:.0f}")
        try:
            cursor.execute("BEGIN EXCLUSIVE")
        except OperationalError:
            return True
        cursor.execute("ROLLBACK")
    return False


def _rows(connection: Any, table: str, columns: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {table}")
        return list(cursor.fetchall())


def instant(value: datetime | str) -> datetime:
    """Return a time as it is stored, or as it is logged, with its zone."""
    when = datetime.fromisoformat(value) if isinstance(value, str) else value
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
