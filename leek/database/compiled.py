"""Queries that Django compiles once, because that takes longer than to run them."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connections, models

Row = tuple[Any, ...]


class CompiledQuery:
    """A query made by `values_list` that is run often.

    Its text must not change with the time: where a clock is in it, neither may `utc_offset`.
    """

    def __init__(self, rows: models.QuerySet[Any]) -> None:
        self._alias = rows.db
        compiler = rows.query.get_compiler(self._alias)
        self._sql, self._parameters = compiler.as_sql()
        self._selected = [expression for expression, *_ in compiler.select]

    def run(self) -> list[Row]:
        """Return the rows that there are now."""
        connection = connections[self._alias]
        with connection.cursor() as cursor:
            cursor.execute(self._sql, self._parameters)
            return converted(connection, self._selected, cursor.fetchall())


def converted(connection: Any, selected: Sequence[Any], rows: Iterable[Row]) -> list[Row]:
    """Return rows of these expressions with values as querysets have them."""
    converters = [
        (position, expression, converter)
        for position, expression in enumerate(selected)
        for converter in (
            *connection.ops.get_db_converters(expression),
            *expression.get_db_converters(connection),
        )
    ]
    found = [*map(list, rows)]
    for position, expression, convert in converters:
        for row in found:
            row[position] = convert(row[position], expression, connection)
    return [*map(tuple, found)]


def compiled(rows: models.QuerySet[Any]) -> tuple[str, Sequence[Any]]:
    """Return the text of a query and its parameters."""
    sql, parameters = rows.query.get_compiler(rows.db).as_sql()
    return str(sql), parameters
