"""Empties the database between tests, in less time than Django takes for that."""

from typing import Any

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management.color import no_style
from django.core.management.commands import flush
from django.db import connections, transaction

KEPT = {model._meta.db_table for model in (ContentType, Permission)}
LARGE = 1_000_000  # bytes of one of PostgreSQL's tables, which keeps what is deleted


class Command(flush.Command):
    """Deletes all rows but those that every site has, and no test changes.

    Django has signal post_migrate write those anew, and PostgreSQL make the files of all tables
    anew, which is done here only when one has become large.
    """

    def handle(self, **options: Any) -> None:
        """Delete the rows; sequences go on."""
        connection = connections[options["database"]]
        tables = sorted({*connection.introspection.django_table_names(only_existing=True)} - KEPT)
        if connection.vendor == "postgresql" and _size_of_largest(connection) > LARGE:
            connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), tables))
            return
        with (
            connection.constraint_checks_disabled(),
            transaction.atomic(using=connection.alias),
            connection.cursor() as cursor,
        ):
            for table in tables:
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")


def _size_of_largest(connection: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT MAX(pg_relation_size(relid)) FROM pg_stat_user_tables")
        return int(cursor.fetchone()[0])
