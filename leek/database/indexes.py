"""Indexes of the rows that are in one state."""

from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement
from django.db.models import Q


class StateIndex(models.Index):
    """An index for the rows of one state, led by the column `state`.

    Where the database has partial indexes it holds these rows only and leaves that column out, so
    that finished rows cost nothing.
    """

    def __init__(self, *, state: int, **options: Any) -> None:
        super().__init__(**options)
        self.state = int(state)  # a migration keeps the number only

    def create_sql(
        self,
        model: type[models.Model],
        schema_editor: BaseDatabaseSchemaEditor,
        using: str = "",
        **kwargs: Any,
    ) -> Statement:
        """Return the statement that creates the index on this database."""
        if not schema_editor.connection.features.supports_partial_indexes:
            return super().create_sql(model, schema_editor, using, **kwargs)
        partial = models.Index(
            fields=self.fields[1:], name=self.name, condition=Q(state=self.state)
        )
        return partial.create_sql(model, schema_editor, using, **kwargs)

    def deconstruct(self) -> Any:
        """Return what a migration needs to build the index again."""
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "state": self.state}
