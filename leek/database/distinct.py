"""The different values of an indexed column, without reading all rows."""

from typing import Any

from django.db import connections, models
from django.db.models.expressions import RawSQL

from leek.database.compiled import compiled

JUMPS = 16  # one by one; then the rest of the index is read


class DistinctValues:
    """Finds the values of a column in some rows, by one jump in its index for each value.

    Where the database takes several texts for equal, it finds one of them.
    """

    def __init__(self, rows: models.QuerySet[Any], column: str) -> None:
        self._alias = rows.db
        self._values = rows.order_by(column).values_list(column, flat=True)
        self._after = f"{column}__gt"
        first, parameters = compiled(self._values[:1])
        next_one = self._values.filter(**{self._after: RawSQL("found.value", ())})
        following, more_parameters = compiled(next_one[:1])
        self._sql = (
            f"WITH RECURSIVE found (value) AS (SELECT * FROM ({first}) AS least"  # noqa: S608 (Django's)
            f" UNION ALL SELECT ({following}) FROM found WHERE found.value IS NOT NULL)"
            " SELECT value FROM found WHERE value IS NOT NULL"
        )
        self._parameters = [*parameters, *more_parameters]

    def read(self) -> list[Any]:
        """Return the values that there are now."""
        connection = connections[self._alias]
        if connection.vendor == "mysql":  # which does not jump to what a row says
            return self._read_in_turn()
        with connection.cursor() as cursor:
            cursor.execute(self._sql, self._parameters)
            return [value for (value,) in cursor.fetchall()]

    def _read_in_turn(self) -> list[Any]:
        found: list[Any] = []
        following = self._values
        while len(found) < JUMPS and (jumped := [*following[:1]]):
            found += jumped
            following = self._values.filter(**{self._after: found[-1]})
        return [*found, *following.distinct()] if len(found) == JUMPS else found
