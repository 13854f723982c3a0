"""How rows are claimed, so that no two claims get the same one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connections, models, transaction

from leek.database.clock import SecondsSince
from leek.database.compiled import Row, compiled, converted


class ClaimStatement:
    """Changes the first candidates that nobody else is changing, and returns columns of them.

    Django compiles the candidates once for many claims, so what they are must not depend on the
    time. `changed` are the columns that get new values; together these must single out the rows
    from all others that the table ever held. `age_of` is a column of times: what is returned last
    is how many seconds ago it was, by the database's clock, so `utc_offset` may not change.
    """

    def __init__(
        self,
        candidates: models.QuerySet[Any],
        columns: Sequence[str],
        age_of: str,
        changed: Sequence[str],
    ) -> None:
        self._alias = candidates.db
        meta = candidates.model._meta
        connection = connections[self._alias]
        quote = connection.ops.quote_name
        self._columns = [meta.get_field(name).get_col(meta.db_table) for name in columns]
        aged = candidates.annotate(age=SecondsSince(age_of))
        names = ", ".join(
            [*(quote(column.target.column) for column in self._columns), _sql_of(aged, "age")]
        )
        changes = [f"{quote(meta.get_field(name).column)} = %s" for name in changed]
        self._change = (
            f"UPDATE {quote(meta.db_table)} SET {', '.join(changes)} WHERE {quote(meta.pk.column)}"  # noqa: S608 (quoted)
        )
        self._read = f"SELECT {names} FROM {quote(meta.db_table)} WHERE {' AND '.join(changes)}"  # noqa: S608 (quoted)
        self._returning = f"RETURNING {names}"
        skip = connection.features.has_select_for_update_skip_locked
        self._lock = connection.ops.for_update_sql(skip_locked=skip)
        self._candidates, self._parameters = compiled(candidates.values_list("pk"))
        self._candidates_in_full, _ = compiled(aged.values_list("pk", *columns, "age"))

    def run(
        self, limit: int, values: Sequence[Any], meant: Mapping[Any, Any] | None = None
    ) -> list[Row]:
        """Claim up to `limit` rows by giving them these values; return their columns.

        Where the candidates were given by parameters that stand for others, `meant` has these.
        """
        connection = connections[self._alias]
        parameters = [(meant or {}).get(each, each) for each in self._parameters]
        if not connection.features.has_select_for_update:
            claim = self._change_then_read
        elif connection.vendor == "postgresql":
            claim = self._change_and_return
        else:
            claim = self._lock_then_change
        adapt = connection.ops.adapt_datetimefield_value
        adapted = [adapt(value) if isinstance(value, datetime) else value for value in values]
        with connection.cursor() as cursor:
            return converted(connection, self._columns, claim(cursor, limit, adapted, parameters))

    def _change_and_return(
        self, cursor: Any, limit: int, values: Sequence[Any], parameters: Sequence[Any]
    ) -> list[Row]:
        """Claim in one statement, whose commit does not wait for the disk.

        A claim that is lost with the machine is one that never was. The array has the candidates
        chosen just once: planned as a join, they could be chosen anew, and be more than the limit.
        """
        cursor.execute(
            f"{self._change} = ANY(ARRAY({self._candidates} LIMIT %s {self._lock}))"
            f" {self._returning}, (SELECT set_config('synchronous_commit', 'off', true))",
            [*values, *parameters, limit],
        )
        return [row[:-1] for row in cursor.fetchall()]

    def _lock_then_change(
        self, cursor: Any, limit: int, values: Sequence[Any], parameters: Sequence[Any]
    ) -> list[Row]:
        with transaction.atomic(self._alias):
            cursor.execute(
                f"{self._candidates_in_full} LIMIT %s {self._lock}", [*parameters, limit]
            )
            rows = cursor.fetchall()
            if ids := [row[0] for row in rows]:
                markers = ", ".join(["%s"] * len(ids))
                cursor.execute(f"{self._change} IN ({markers})", [*values, *ids])
        return [row[1:] for row in rows]

    def _change_then_read(
        self, cursor: Any, limit: int, values: Sequence[Any], parameters: Sequence[Any]
    ) -> list[Row]:
        """Claim in one statement, under the write lock of the whole database.

        A transaction that reads first would fail at once where another one writes beside it.
        """
        cursor.execute(
            f"{self._change} IN ({self._candidates} LIMIT %s)",
            [*values, *parameters, limit],
        )
        if not cursor.rowcount:
            return []
        cursor.execute(self._read, values)
        return list(cursor.fetchall())


def _sql_of(rows: models.QuerySet[Any], annotation: str) -> str:
    """Return the text of an annotation, which has no parameters."""
    expression = rows.query.annotations[annotation]
    sql, _ = rows.query.get_compiler(rows.db).compile(expression)
    return str(sql)
