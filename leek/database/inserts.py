"""Rows that are inserted often or by the thousand, without what a model's save does besides."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, TypeVar

from django.db import Error, connections, models, transaction

# https://mariadb.com/kb/en/mariadb-error-codes/. Those who wait for an insertion that is rolled
# back meet in a deadlock.
_DUPLICATE, _DEADLOCK = 1062, 1213
# Of text in one statement: MariaDB takes 16 MB by default, and a character may be four bytes.
LONGEST_STATEMENT = 3_000_000

Values = Sequence[Any]
Row = TypeVar("Row", bound=models.Model)


def insert_rows(alias: str, model: type[Row], rows: Sequence[dict[str, Any]]) -> list[Row]:
    """Insert rows in their order, all or none, and return them with their ids.

    They are given by the values of the model's attributes, where these are not the defaults.
    """
    if not rows:
        return []
    names, values = _completed(model, rows)
    ids = _insertion(alias, model, model._meta.db_table, names).run_for_ids(values)
    return _loaded(alias, model, names, ids, values)


def insert_unless_taken(
    alias: str, model: type[Row], row: dict[str, Any], unique: str
) -> Row | None:
    """Insert a row and return it with its id; None if another has its value of a unique field.

    Who is just inserting that value, or giving it up, is waited for. An open transaction takes
    further statements in either case.
    """
    if not connections[alias].features.supports_update_conflicts_with_target:
        return _look_then_insert(alias, model, row, unique)
    names, values = _completed(model, [row])
    insertion = _insertion(alias, model, model._meta.db_table, names)
    row_id = insertion.run_unless_taken(values[0], unique)
    return None if row_id is None else _loaded(alias, model, names, [row_id], values)[0]


def _look_then_insert(alias: str, model: type[Row], row: dict[str, Any], unique: str) -> Row | None:
    """Do as `insert_unless_taken` on MySQL, which locks for its refusal the row that it is due to.

    The lock lasts as long as the transaction, so that it is worth a look to go without.
    """
    if model._default_manager.using(alias).filter(**{unique: row[unique]}).exists():
        return None
    try:
        with transaction.atomic(using=alias):
            return insert_rows(alias, model, [row])[0]
    except Error as error:
        is_open = connections[alias].in_atomic_block
        if error.args[0] == _DUPLICATE or (error.args[0] == _DEADLOCK and not is_open):
            return None
        raise


def insert_values(
    alias: str, model: type[models.Model], names: tuple[str, ...], rows: Sequence[Values]
) -> None:
    """Insert rows, all or none, given by the values of these attributes of a model.

    JSON is given as text.
    """
    if rows:
        _insertion(alias, model, model._meta.db_table, names).run(rows)


def _completed(
    model: type[models.Model], rows: Sequence[dict[str, Any]]
) -> tuple[tuple[str, ...], list[Values]]:
    """Return the names of all attributes but the id, and the values of each row, with defaults."""
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    names = tuple(field.attname for field in fields)
    defaults = {field.attname: field.get_default() for field in fields}
    pick = itemgetter(*names)
    return names, [pick(defaults | row) for row in rows]


def _loaded(
    alias: str,
    model: type[Row],
    names: tuple[str, ...],
    ids: Sequence[int],
    values: Sequence[Values],
) -> list[Row]:
    """Return inserted rows as if they were loaded."""
    all_names = (model._meta.pk.attname, *names)  # an automatic id is a model's first field
    return [
        model.from_db(alias, all_names, (row_id, *row))
        for row_id, row in zip(ids, values, strict=True)
    ]


class _Insertion:
    """The statement that inserts rows of some columns."""

    def __init__(self, alias: str, model: type[models.Model], names: Sequence[str]) -> None:
        connection = connections[alias]
        meta, quote = model._meta, connection.ops.quote_name
        self._alias = alias
        self._id = str(meta.db_table), str(meta.pk.column)  # as last_insert_id wants it
        self._fields: list[Any] = [meta.get_field(name) for name in names]
        columns = ", ".join(quote(field.column) for field in self._fields)
        self._head = f"INSERT INTO {quote(meta.db_table)} ({columns}) "
        self._row = f"({', '.join(['%s'] * len(self._fields))})"
        self._returning = f" RETURNING {quote(str(meta.pk.column))}"
        self._takes_arrays = connection.vendor == "postgresql"
        # A type with its length would cut off what is too long for the column.
        types = [field.db_type(connection).partition("(")[0] for field in self._fields]
        self._arrays = ", ".join(f"%s::{name}[]" for name in types)
        self._texts = [
            position
            for position, field in enumerate(self._fields)
            if isinstance(field, models.TextField | models.JSONField)
        ]
        self._times = [
            position
            for position, field in enumerate(self._fields)
            if isinstance(field, models.DateTimeField)
        ]

    def run(self, rows: Sequence[Values]) -> None:
        """Insert rows."""
        connection = connections[self._alias]
        most = connection.ops.bulk_batch_size(self._fields, rows)
        batches = self._batches(rows, most)
        with self._all_or_none(len(batches) > 1), connection.cursor() as cursor:
            for batch in batches:
                cursor.execute(*self._statement(batch))

    def run_for_ids(self, rows: Sequence[Values]) -> list[int]:
        """Insert rows in their order, and return their ids."""
        connection = connections[self._alias]
        ops, returns_ids = connection.ops, connection.features.can_return_rows_from_bulk_insert
        most = ops.bulk_batch_size(self._fields, rows) if returns_ids else 1
        batches = self._batches(rows, most)
        ids: list[int] = []
        with self._all_or_none(len(batches) > 1), connection.cursor() as cursor:
            for batch in batches:
                sql, parameters = self._statement(batch)
                cursor.execute(sql + self._returning if returns_ids else sql, parameters)
                if returns_ids:
                    ids.extend(row_id for (row_id,) in cursor.fetchall())
                else:
                    ids.append(ops.last_insert_id(cursor, *self._id))
        return ids

    def run_unless_taken(self, row: Values, unique: str) -> int | None:
        """Insert a row and return its id; None if another has its value of a unique field."""
        connection = connections[self._alias]
        (field,) = [field for field in self._fields if field.name == unique]
        sql, parameters = self._statement([row])
        sql += f" ON CONFLICT ({connection.ops.quote_name(field.column)}) DO NOTHING"
        with self._all_or_none(False), connection.cursor() as cursor:
            if connection.features.can_return_columns_from_insert:
                cursor.execute(sql + self._returning, parameters)
                found = cursor.fetchone()
                return int(found[0]) if found else None
            cursor.execute(sql, parameters)
            return connection.ops.last_insert_id(cursor, *self._id) if cursor.rowcount else None

    def _batches(self, rows: Sequence[Values], most: int) -> list[Sequence[Values]]:
        """Split rows into those of a statement each: so many at most, and not too much text."""
        if sum(len(row[text] or "") for text in self._texts for row in rows) <= LONGEST_STATEMENT:
            return [rows[start : start + most] for start in range(0, len(rows), most)]
        batches: list[Sequence[Values]] = []
        begin = length = 0
        for position, row in enumerate(rows):
            more = sum(len(row[text] or "") for text in self._texts)
            if position - begin == most or (length and length + more > LONGEST_STATEMENT):
                batches.append(rows[begin:position])
                begin, length = position, 0
            length += more
        return [*batches, rows[begin:]]

    def _all_or_none(self, is_several: bool) -> AbstractContextManager[None]:
        """Return what makes statements one, or a transaction around one unusable where it fails."""
        if is_several:
            return transaction.atomic(self._alias, savepoint=False)
        return transaction.mark_for_rollback_on_error(self._alias)

    def _statement(self, rows: Sequence[Values]) -> tuple[str, list[Any]]:
        """Return the statement for so many rows, with its parameters.

        An array for each column spares the client and the server to read a marker for each value.
        """
        columns = self._columns(rows)
        if self._takes_arrays and len(rows) > 1:
            return f"{self._head}SELECT * FROM UNNEST({self._arrays})", columns  # noqa: S608 (Django's names)
        markers = ", ".join([self._row] * len(rows))
        return f"{self._head}VALUES {markers}", [*chain.from_iterable(zip(*columns, strict=True))]

    def _columns(self, rows: Sequence[Values]) -> list[list[Any]]:
        """Return the values column by column, with times as the database's driver takes them."""
        columns = [*map(list, zip(*rows, strict=True))]
        adapt = connections[self._alias].ops.adapt_datetimefield_value
        for position in self._times:
            adapted = {time: adapt(time) for time in {*columns[position]}}  # many are the same
            columns[position] = [adapted[time] for time in columns[position]]
        return columns


@lru_cache
def _insertion(
    alias: str, model: type[models.Model], table: str, names: tuple[str, ...]
) -> _Insertion:
    """Return the statement, which stays the same as long as the model's table has this name."""
    return _Insertion(alias, model, names)
