"""The list of all tasks: how it is filled, page by page."""

from collections.abc import Mapping
from datetime import datetime
from itertools import chain
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.paginator import InvalidPage
from django.db.models import QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest
from django.utils.text import smart_split, unescape_string_literal

from leek.admin import readonly
from leek.admin.drill_down import COLUMN, DrillDown, drill_down
from leek.admin.filters import TaskFilter
from leek.admin.looking import Look
from leek.admin.notices import ALL_TASKS, Notice, notices
from leek.admin.pages import AtLeast, Pages
from leek.admin.recent import Mark, recent
from leek.admin.wanted import Wanted
from leek.models import QueuedTasks

Rows = QuerySet[QueuedTasks]


class TaskList(readonly.ShortRows):
    """The tasks that `leek.admin.looking` finds, with the drill-down and the notices above them."""

    drill_down: DrillDown | None
    notices: list[Notice]

    _look: Look
    _rows: Rows
    _ends: tuple[Mark, Mark] | None
    _bounds: Mapping[str, list[Any]]

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Return the parameters that are filters."""
        found: dict[str, Any] = super().get_filters_params(params)
        return {name: value for name, value in found.items() if name != ALL_TASKS}

    def get_filters(self, request: HttpRequest) -> Any:
        """Return the filters, and keep the bounds that the drill-down sets."""
        try:
            found: Any = super().get_filters(request)
        except (ValueError, OverflowError) as error:  # the year after the last one
            raise IncorrectLookupParameters(error) from error
        self._bounds = found[2]
        return found

    def get_ordering(self, request: HttpRequest, queryset: Rows) -> list[str | Combinable]:
        """Return the only order in which a long table is read quickly."""
        return ["-pk"]

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Rows:
        """Return all tasks that are wanted."""
        self._rows = super().get_queryset(request, *args, **kwargs)
        self._ends = recent(request).ends
        self._look = Look(self._rows, self._wanted(), recent(request))
        return self._look.tasks()

    def get_results(self, request: HttpRequest) -> None:
        """Load the page, and count what there is where the page does not tell."""
        size, first = self.list_per_page, (self.page_num - 1) * self.list_per_page
        if not 0 <= first < readonly.COUNTED:
            raise IncorrectLookupParameters
        ids = self._look.ids(first, first + size + 1)
        is_last = len(ids) <= size and (ids or not first)
        count = first + len(ids) if is_last else self._look.count()
        self._set_count(AtLeast(count) if count >= readonly.COUNTED else count)
        if self.multi_page and not (self.show_all and self.can_show_all):
            self._check_page()
            ids = ids[:size]
        elif first or self.multi_page:
            ids = self._look.ids(0, count)
        self.result_list = self._rows.filter(pk__in=ids)
        self._set_what_is_above()

    def _set_count(self, count: int) -> None:
        self.result_count = count
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = count <= self.list_max_show_all
        self.multi_page = count > self.list_per_page
        self.paginator = Pages(count, self.list_per_page)

    def _check_page(self) -> None:
        try:
            self.paginator.validate_number(self.page_num)
        except InvalidPage as error:
            raise IncorrectLookupParameters(error) from error

    def _set_what_is_above(self) -> None:
        self.notices = notices(self._look, self._address, ALL_TASKS in self.params)
        ends = self._ends and (self._ends[0].pushed_at, self._ends[1].pushed_at)
        self.drill_down = ends and drill_down(
            self.params, ends, lambda chosen: self._address(chosen, f"{COLUMN}__")
        )
        self.date_hierarchy = None  # or Django would read all rows for its own

    def _address(self, changed: Mapping[str, Any], *removed: str) -> str:
        return self.get_query_string({**changed}, removed)

    def _wanted(self) -> Wanted:
        chosen = [spec.wanted for spec in self.filter_specs if isinstance(spec, TaskFilter)]
        values: dict[str, Any] = dict(chain.from_iterable(each.items() for each in chosen))
        since = [self._bound("gte"), values.pop("since", None)]
        return Wanted(
            **values,
            since=max((moment for moment in since if moment), default=None),
            until=self._bound("lt"),
            words=tuple(map(unquoted, smart_split(self.query))),
            all_tasks=ALL_TASKS in self.params,
        )

    def _bound(self, side: str) -> datetime | None:
        given = self._bounds.get(f"{COLUMN}__{side}", [])
        return next((bound for bound in given if isinstance(bound, datetime)), None)


def unquoted(word: str) -> str:
    """Return a word that is searched for, or a phrase without its quotes."""
    is_quoted = len(word) > 1 and word[0] == word[-1] and word[0] in "\"'"
    return str(unescape_string_literal(word)) if is_quoted else word
