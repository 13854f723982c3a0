"""Rows that are inserted often or by the thousand, without what a model's save does besides."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from operator import attrgetter
from typing import Any

from django.db import connections, models, transaction

Values = Sequence[Any]


def insert_rows(alias: str, rows: Sequence[models.Model]) -> None:
    """Insert new rows of one model in their order, all or none, and give them their ids."""
    if not rows:
        return
    model = type(rows[0])
    names = tuple(field.attname for field in model._meta.concrete_fields if not field.primary_key)
    values = [*map(attrgetter(*names), rows)]
    ids = _insertion(alias, model, model._meta.db_table, names).run_for_ids(values)
    for row, row_id in zip(rows, ids, strict=True):
        row.pk = row_id
        row._state.adding = False
        row._state.db = alias


def insert_values(
    alias: str, model: type[models.Model], names: tuple[str, ...], rows: Sequence[Values]
) -> None:
    """Insert rows, all or none, given by the values of these attributes of a model."""
    if rows:
        _insertion(alias, model, model._meta.db_table, names).run(rows)


class _Insertion:
    """The statement that inserts rows of some columns."""

    def __init__(self, alias: str, model: type[models.Model], names: Sequence[str]) -> None:
        meta, quote = model._meta, connections[alias].ops.quote_name
        self._alias = alias
        self._id = str(meta.db_table), str(meta.pk.column)  # as last_insert_id wants it
        self._fields: list[Any] = [meta.get_field(name) for name in names]
        columns = ", ".join(quote(field.column) for field in self._fields)
        self._head = f"INSERT INTO {quote(meta.db_table)} ({columns}) VALUES "  # noqa: S608 (quoted)
        self._row = f"({', '.join(['%s'] * len(self._fields))})"
        self._returning = f" RETURNING {quote(str(meta.pk.column))}"
        self._times = [
            position
            for position, field in enumerate(self._fields)
            if isinstance(field, models.DateTimeField)
        ]

    def run(self, rows: Sequence[Values]) -> None:
        """Insert rows."""
        connection = connections[self._alias]
        most = connection.ops.bulk_batch_size(self._fields, rows)
        with self._all_or_none(len(rows) > most), connection.cursor() as cursor:
            for batch in _batches(rows, most):
                cursor.execute(self._sql(len(batch)), self._parameters(batch))

    def run_for_ids(self, rows: Sequence[Values]) -> list[int]:
        """Insert rows in their order, and return their ids."""
        connection = connections[self._alias]
        ops, returns_ids = connection.ops, connection.features.can_return_rows_from_bulk_insert
        most = ops.bulk_batch_size(self._fields, rows) if returns_ids else 1
        ids: list[int] = []
        with self._all_or_none(len(rows) > most), connection.cursor() as cursor:
            for batch in _batches(rows, most):
                returning = self._returning if returns_ids else ""
                cursor.execute(self._sql(len(batch)) + returning, self._parameters(batch))
                if returns_ids:
                    ids.extend(row_id for (row_id,) in cursor.fetchall())
                else:
                    ids.append(ops.last_insert_id(cursor, *self._id))
        return ids

    def _all_or_none(self, is_several: bool) -> AbstractContextManager[None]:
        """Return what makes statements one, or a transaction around one unusable where it fails."""
        if is_several:
            return transaction.atomic(self._alias, savepoint=False)
        return transaction.mark_for_rollback_on_error(self._alias)

    def _sql(self, number: int) -> str:
        return self._head + ", ".join([self._row] * number)

    def _parameters(self, rows: Sequence[Values]) -> list[Any]:
        adapt = connections[self._alias].ops.adapt_datetimefield_value
        parameters: list[Any] = []
        for row in rows:
            values = list(row)
            for position in self._times:
                values[position] = adapt(values[position])
            parameters += values
        return parameters


def _batches(rows: Sequence[Values], size: int) -> Iterator[Sequence[Values]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


@lru_cache
def _insertion(
    alias: str, model: type[models.Model], table: str, names: tuple[str, ...]
) -> _Insertion:
    """Return the statement, which stays the same as long as the model's table has this name."""
    return _Insertion(alias, model, names)
