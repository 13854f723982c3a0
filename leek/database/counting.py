"""Several counts in one statement."""

from collections.abc import Sequence
from typing import Any

from django.db import connections, models

from leek.database.compiled import compiled


def counts(sets: Sequence[models.QuerySet[Any]], up_to: int | None = None) -> list[int]:
    """Return how many rows each of these sets of one database has; count to `up_to` at most."""
    selected = [compiled(rows.order_by().values_list("pk")[:up_to]) for rows in sets]
    numbers = [f"(SELECT COUNT(*) FROM ({sql}) AS counted)" for sql, _ in selected]  # noqa: S608 (Django's)
    parameters = [parameter for _, some in selected for parameter in some]
    with connections[sets[0].db].cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(numbers)}", parameters)
        return list(cursor.fetchall()[0])
