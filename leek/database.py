"""The only place that knows that databases differ."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import (
    Error,
    InterfaceError,
    InternalError,
    OperationalError,
    connections,
    models,
    transaction,
)
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement
from django.db.models import Q, functions
from django.db.models.sql.compiler import SQLCompiler

_SETS_WAL = re.compile(r"journal_mode\s*[=(]\s*['\"]?wal\b", re.IGNORECASE)

# What is of a kind that passes by itself, and yet refuses a statement for ever:
# https://mariadb.com/kb/en/mariadb-error-codes/: a packet too large, a text that has no place in
# the column's character set. https://www.postgresql.org/docs/current/errcodes-appendix.html: class
# 54, a limit exceeded.
_REFUSALS_OF_MYSQL = (1153, 1366)
_REFUSALS_OF_POSTGRESQL = "54"

# How long a connection may take to be made. https://www.postgresql.org/docs/current/libpq-connect.html:
# milliseconds in which the other host's system has to answer. mysqlclient has only a limit for the
# server's own answers, in seconds, which may be slow to come.
_PATIENCE: dict[str, dict[str, int]] = {
    "postgresql": {"tcp_user_timeout": 2000},
    "mysql": {"connect_timeout": 10},
}


class Now(functions.Now):
    """The database's clock, in the time zone in which Django stores times there.

    Django's own Now gives UTC on SQLite and, on MySQL, the time in the zone of the session, which
    Django does not set. Here both count from UTC; PostgreSQL needs no help, its times have a zone.
    """

    def as_mysql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        """Return UTC and the zone's distance, since a server need not know zones by name."""
        template = f"(UTC_TIMESTAMP(6) + INTERVAL {_from_utc(connection)} SECOND)"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        """Return UTC and the zone's distance, to the millisecond."""
        modifier = f"{_from_utc(connection):+} seconds"
        template = f"STRFTIME('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%f', 'NOW', '{modifier}')"
        return self.as_sql(compiler, connection, template=template, **context)


def _from_utc(connection: Any) -> int:
    """Return how many seconds the zone of the stored times is ahead of UTC at the moment.

    That is the connection's zone with USE_TZ (UTC, if its TIME_ZONE does not say otherwise), and
    without it this process's local time, which Django sets by TIME_ZONE.
    """
    offset = datetime.now(UTC).astimezone(connection.timezone).utcoffset()
    return round(offset.total_seconds()) if offset else 0


def after(seconds: float) -> models.Expression:
    """Return the time that it will be in so many seconds, by the database's clock."""
    return models.ExpressionWrapper(
        Now() + timedelta(seconds=seconds), output_field=models.DateTimeField()
    )


class StateIndex(models.Index):
    """An index for the rows of one state, led by the column `state`.

    Where the database has partial indexes it holds these rows only and leaves that column out, so
    that finished rows cost nothing.
    """

    def __init__(self, *, state: int, **options: Any) -> None:
        super().__init__(**options)
        self.state = int(state)  # a migration keeps the number only

    def create_sql(
        self,
        model: type[models.Model],
        schema_editor: BaseDatabaseSchemaEditor,
        using: str = "",
        **kwargs: Any,
    ) -> Statement:
        """Return the statement that creates the index on this database."""
        if not schema_editor.connection.features.supports_partial_indexes:
            return super().create_sql(model, schema_editor, using, **kwargs)
        partial = models.Index(
            fields=self.fields[1:], name=self.name, condition=Q(state=self.state)
        )
        return partial.create_sql(model, schema_editor, using, **kwargs)

    def deconstruct(self) -> Any:
        """Return what a migration needs to build the index again."""
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "state": self.state}


def insert_rows(table: models.QuerySet[Any], rows: Sequence[Any], batch: int) -> list[Any]:
    """Insert new rows in their order, all or none; return them with their ids."""
    if connections[table.db].features.can_return_rows_from_bulk_insert:
        return table.bulk_create(rows, batch_size=batch)
    with transaction.atomic(using=table.db):
        for row in rows:
            row.save(force_insert=True, using=table.db)
    return list(rows)


def claim_rows(
    candidates: models.QuerySet[Any], limit: int, columns: Sequence[str], **changes: Any
) -> list[tuple[Any, ...]]:
    """Change the first `limit` candidates that nobody else is changing; return their columns.

    `changes` must single out the changed rows from all others that the table ever held.
    """
    connection = connections[candidates.db]
    if connection.features.has_select_for_update:
        return _lock_then_change(candidates, limit, columns, changes)
    return _change_then_read(candidates, limit, columns, changes)


def _lock_then_change(
    candidates: models.QuerySet[Any], limit: int, columns: Sequence[str], changes: dict[str, Any]
) -> list[tuple[Any, ...]]:
    skip = connections[candidates.db].features.has_select_for_update_skip_locked
    with transaction.atomic(using=candidates.db):
        locked = candidates.select_for_update(skip_locked=skip)[:limit]
        rows = list(locked.values_list("pk", *columns))
        if rows:
            _of_table(candidates).filter(pk__in=[row[0] for row in rows]).update(**changes)
    return [row[1:] for row in rows]


def _change_then_read(
    candidates: models.QuerySet[Any], limit: int, columns: Sequence[str], changes: dict[str, Any]
) -> list[tuple[Any, ...]]:
    """Claim in one statement, under the write lock of the whole database.

    A transaction that reads first would fail at once where another one writes beside it.
    """
    table = _of_table(candidates)
    first = candidates.values("pk")[:limit]
    if not table.filter(pk__in=first).update(**changes):
        return []
    changed = table.filter(**changes).order_by(*candidates.query.order_by)
    return list(changed.values_list(*columns))


def _of_table(rows: models.QuerySet[Any]) -> models.QuerySet[Any]:
    table: models.QuerySet[Any] = rows.model._default_manager.using(rows.db)
    return table


def has_table(alias: str, name: str) -> bool:
    """Tell whether a database has such a table."""
    return name in connections[alias].introspection.table_names()


@contextmanager
def impatient_connections(alias: str) -> Iterator[None]:
    """Have new connections give up a host that does not answer, where the site sets no limit.

    The system goes on for two minutes, asks ever more seldom, and so finds out late that the host
    is there. Nothing is changed for connections that come out of a pool, because they stay.
    """
    connection = connections[alias]
    options = connection.settings_dict["OPTIONS"]
    limits = {} if "pool" in options else _PATIENCE.get(connection.vendor, {})
    added = {name: limit for name, limit in limits.items() if name not in options}
    options.update(added)
    try:
        yield
    finally:
        for name in added:
            del options[name]


def is_connected(alias: str) -> bool:
    """Tell whether this thread has a connection to a database, be it broken."""
    return connections[alias].connection is not None


def is_transient(error: Error) -> bool:
    """Tell whether the same statement may succeed later.

    So it may after what a database raises for a time: locked, gone away, read-only, deadlock.
    """
    if not isinstance(error, OperationalError | InterfaceError | InternalError):
        return False
    cause = error.__cause__
    number = error.args[0] if error.args else None
    sqlstate = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or ""
    return number not in _REFUSALS_OF_MYSQL and not sqlstate.startswith(_REFUSALS_OF_POSTGRESQL)


def sqlite_shortcomings(alias: str) -> list[str]:
    """Return what an SQLite database lacks to be written by several processes; else nothing.

    The journal mode is a property of the file: it is read off the file's header (byte 18, as
    https://sqlite.org/fileformat.html has it), not by opening a connection.
    """
    connection = connections[alias]
    if connection.vendor != "sqlite" or connection.is_in_memory_db():  # type: ignore[attr-defined]
        return []
    options = connection.settings_dict["OPTIONS"]
    lacking = []
    if not _SETS_WAL.search(str(options.get("init_command", ""))) and not _is_wal(
        Path(connection.settings_dict["NAME"])
    ):
        lacking.append("WAL")
    if str(options.get("transaction_mode", "")).upper() not in ("IMMEDIATE", "EXCLUSIVE"):
        lacking.append("immediate transactions")
    return lacking


def _is_wal(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(19)[18:] == b"\x02"
    except OSError:
        return False
