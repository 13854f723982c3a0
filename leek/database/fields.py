"""Columns that databases would treat differently."""

from typing import Any

from django.db import models


class ExactCharField(models.CharField):  # type: ignore[type-arg]
    """A text that equals only itself: by default MySQL and MariaDB take "A" for "a"."""

    def db_type(self, connection: Any) -> str | None:
        """Return the type, which compares bytes whatever character set the database has."""
        kind = super().db_type(connection)
        return f"{kind} binary" if connection.vendor == "mysql" else kind
