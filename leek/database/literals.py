"""Values that are part of a statement's text."""

from typing import Any

from django.db import models
from django.db.models.sql.compiler import SQLCompiler


class Literal(models.Value):
    """A whole number in the text of a statement, not among its parameters.

    SQLite takes no notice of a column that a partial index leaves out only where the text says that
    it has the index's value; else it looks into the table for each row.
    """

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        """Return the number."""
        return str(int(self.value)), ()
