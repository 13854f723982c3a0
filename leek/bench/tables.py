"""The benchmark's own tables, in the database of the queue."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django import db
from django.db import connections

from leek.database import has_table
from leek.exceptions import LeekError
from leek.models import (
    AttemptLogs,
    FailedTasks,
    PausedQueues,
    QueuedTasks,
    Servers,
    SuccessTasks,
    Tallies,
)
from leek.server.notes import remove_notes

MODELS = (Servers, QueuedTasks, SuccessTasks, FailedTasks, AttemptLogs, Tallies, PausedQueues)
SITES, OURS = "leek_", "leek_bench_"  # what the names of tables, indexes and constraints begin with


class NoTables(LeekError):
    """The database does not let the benchmark make tables."""


@contextmanager
def our_names() -> Iterator[None]:
    """Have leek's models mean the benchmark's tables, in all of this process."""
    _rename(SITES, OURS)
    try:
        yield
    finally:
        _rename(OURS, SITES)


def _rename(former: str, new: str) -> None:
    for model in MODELS:
        meta = model._meta
        meta.db_table = new + meta.db_table.removeprefix(former)
        for named in (*meta.indexes, *meta.constraints):
            named.name = new + named.name.removeprefix(former)
        for field in meta.local_fields:
            field.__dict__.pop("cached_col", None)  # it knows the table


@contextmanager
def our_tables(alias: str) -> Iterator[None]:
    """Make the tables, and drop them at the end; first those that a killed run has left.

    Raise NoTables where the database refuses.
    """
    try:
        _make_tables(alias)
        yield
    finally:
        connections[alias].close_if_unusable_or_obsolete()
        drop_tables(alias)


def _make_tables(alias: str) -> None:
    try:
        drop_tables(alias)
        _create_tables(alias)
    except db.Error as error:
        reason = " ".join(str(error).split())
        raise NoTables(f"leek_bench cannot make tables of its own: {reason}") from error


def _create_tables(alias: str) -> None:
    # Entered as a context, SQLite's editor would check every row of the site at the end.
    editor = connections[alias].schema_editor(atomic=False)
    editor.deferred_sql = []
    for model in MODELS:
        editor.create_model(model)
    for statement in editor.deferred_sql:
        editor.execute(statement)


def drop_tables(alias: str) -> None:
    """Drop those of the tables that are there, and what else a killed server has left."""
    connection = connections[alias]
    with suppress(db.Error):  # there may be no such table
        for boot in Servers.objects.using(alias).values_list("boot", flat=True):
            remove_notes(boot)
    for model in MODELS:
        name = model._meta.db_table
        if has_table(alias, name):
            with connection.cursor() as cursor:
                cursor.execute(f"DROP TABLE {connection.ops.quote_name(name)}")
