"""Lists of rows that only leek writes, which may be long."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from leek.status import CAP

COUNTED = CAP
SECRETIVE = {"payload", "result"}  # columns that hold what REDACT keeps from being shown


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than COUNTED rows; what is beyond them is found by searching."""

    object_list: QuerySet[Any]

    @cached_property
    def count(self) -> int:
        """How many rows there are to page through."""
        return self.object_list.order_by()[:COUNTED].count()


class ShortRows(ChangeList):
    """A list that does not load the long columns of its rows."""

    model_admin: "ReadOnlyAdmin"

    def get_queryset(self, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        """Return the rows of the list."""
        return super().get_queryset(*args, **kwargs).defer(*self.model_admin.long_columns)


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that only leek itself writes. They are not all counted: tables may be long."""

    paginator = BoundedPaginator
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    long_columns: tuple[str, ...] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the class of the list."""
        return ShortRows

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Refuse filters that would tell, letter by letter, what is in a secretive column."""
        is_secretive = not SECRETIVE.isdisjoint(lookup.split("__"))
        return not is_secretive and super().lookup_allowed(lookup, value, request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: tasks are pushed, not added."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: only leek.lifecycle moves a task."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: finished tasks are purged by leek_purge."""
        return False
