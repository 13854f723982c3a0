"""Finds the tasks that a list is to show, newest first, without reading more than it has to.

What an index finds is found however much there is. For everything else a window is looked through:
the newest tasks, or the newest failures. No row is locked, and no statement waits for a writer.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from heapq import nlargest
from itertools import chain
from typing import Any

from django.db.models import F, Q, QuerySet

from leek.admin import readonly
from leek.admin.recent import Recent
from leek.admin.text_search import TextSearch
from leek.admin.wanted import FAILED, FINISHED, READY, SUCCESSFUL, UNFINISHED, Wanted
from leek.admin.window import (
    FAILURES,
    PAYLOADS,
    PAYLOADS_OF_FAILURES,
    TASKS,
    Window,
    last_before,
    window_of_failures,
    window_of_tasks,
)
from leek.models import FailedTasks, QueuedTasks, SuccessTasks
from leek.upkeep import raised

FEW = 50_000  # rows that an index has of a state, which are looked through without a window
CANDIDATES = 1_000  # tasks whose arguments are compared with the words that are searched for
LONGEST_ID = 18  # digits that are an id in every database

Rows = QuerySet[QueuedTasks]
Ids = QuerySet[Any, int]


class Look:
    """The tasks of `rows` that are wanted."""

    def __init__(self, rows: Rows, wanted: Wanted, recent: Recent) -> None:
        self._wanted = wanted
        self._recent = recent
        self._rows = rows
        self._by_state_only = wanted.is_by_state_only and not rows.query.where
        self._search = TextSearch(wanted.words)
        self.omits_candidates = False

    @property
    def omits(self) -> Window | None:
        """The window that is looked through, if there may be more outside."""
        return self._window if self._window and not self._window.is_all else None

    def ids(self, start: int, stop: int) -> list[int]:
        """Return the ids of some of the tasks, newest first."""
        if len(self._sources) == 1 and not self._with_id:
            return list(self._sources[0][start:stop])
        each = chain(self._with_id, *(source[:stop] for source in self._sources))
        return nlargest(stop, each)[start:]

    def count(self) -> int:
        """Count the tasks, no further than COUNTED."""
        total = len(self._with_id)
        for source in self._sources:
            if left := max(readonly.COUNTED - total, 0):
                total += source.order_by()[:left].count()
        return total

    def tasks(self) -> Rows:
        """Return all of the tasks."""
        wanted = self._wanted
        if wanted.is_contradictory:
            return self._rows.none()
        within = self._window.condition if self._window else Q()
        if wanted.words:
            within = within & self._with_words | Q(pk__in=self._with_id)
        return self._rows.filter(wanted.of_state, wanted.otherwise).filter(within)

    # Where they are found

    @cached_property
    def _sources(self) -> Sequence[Ids]:
        """The ids of the tasks; each source is in order, and no task is in two of them."""
        wanted = self._wanted
        if wanted.is_contradictory:
            return [_ids(self._rows.none())]
        if self._by_state_only and wanted.exception:
            return [self._failures()]
        if self._by_state_only and wanted.state in _BY_OUTCOME:
            return [find(self) for find in _BY_OUTCOME[wanted.state]]
        words = self._with_words & ~Q(pk__in=self._with_id) if wanted.words else Q()
        return [_ids(rows.filter(words)) for rows in self._looked_through()]

    @cached_property
    def _window(self) -> Window | None:
        wanted = self._wanted
        if wanted.all_tasks or wanted.is_contradictory or self._is_in_index:
            return None
        if self._by_state_only and not wanted.exception:
            return None
        highest = self._highest()
        if not wanted.is_of_failures:
            return window_of_tasks(PAYLOADS if wanted.words else TASKS, highest, wanted.since)
        if not (ends := self._recent.ends_of_failures):
            return None
        size = PAYLOADS_OF_FAILURES if wanted.words else FAILURES
        return window_of_failures(size, ends, highest, wanted.since)

    @cached_property
    def _is_in_index(self) -> bool:
        """Whether the rows that an index has of a state are few enough, or are in its order."""
        wanted = self._wanted
        if wanted.state not in UNFINISHED or self._by_state_only:
            return wanted.state in UNFINISHED
        only_queue = Wanted(state=READY, queue=wanted.queue)
        if wanted == only_queue and not self._rows.query.where:
            return True
        queue = Q(queue=wanted.queue) if wanted.queue and wanted.state == READY else Q()
        left = FEW
        for of_state in UNFINISHED[wanted.state]:
            left -= QueuedTasks.objects.filter(of_state, queue).order_by()[: left + 1].count()
            if left < 0:
                return False
        return True

    def _highest(self) -> int | None:
        bounds = []
        if self._wanted.until and self._recent.ends:
            bounds.append(last_before(self._wanted.until, self._recent.ends))
        if self._wanted.state == SUCCESSFUL:
            bounds.append(self._successes().first())
        return min((bound for bound in bounds if bound is not None), default=None)

    def _looked_through(self) -> list[Rows]:
        """Return what is to be looked through, with all conditions but those on words."""
        wanted, rows = self._wanted, self._rows.filter(self._wanted.otherwise)
        if self._is_in_index:
            # By an expression, or the planner may look for few rows in the order of all.
            in_order = (F("pk") + 0).desc()
            return [rows.filter(each).order_by(in_order) for each in UNFINISHED[wanted.state or ""]]
        if wanted.is_of_failures:
            within = self._window.condition if self._window else Q(failure__pk__isnull=False)
            return [rows.filter(within).order_by("-failure__pk")]
        within = self._window.condition if self._window else Q()
        return [rows.filter(within, wanted.of_state).order_by("-pk")]

    def _successes(self) -> Ids:
        return _ids(SuccessTasks.objects.order_by("-pk"))

    def _failures(self) -> Ids:
        rows = FailedTasks.objects.order_by("-pk")
        if self._wanted.exception:
            rows = rows.filter(raised(self._wanted.exception, "exception_type"))
        if self._window and self._window.lowest:
            rows = rows.filter(pk__gte=self._window.lowest)
        return _ids(rows)

    # Words

    @property
    def _with_words(self) -> Q:
        return self._search.in_name | Q(pk__in=self._found)

    @cached_property
    def _found(self) -> list[int]:
        """The ids of the newest tasks whose arguments have the words."""
        columns = ("pk", "name", "payload")
        candidates = [
            candidate
            for rows in self._looked_through()
            for candidate in rows.filter(self._search.possibly).values_list(*columns)[
                : CANDIDATES + 1
            ]
        ]
        newest = nlargest(CANDIDATES, candidates)
        self.omits_candidates = len(candidates) > len(newest)
        return self._search.finds(newest)

    @cached_property
    def _with_id(self) -> list[int]:
        """The task whose id is the only word: it is found wherever it is."""
        wanted = self._wanted
        word = wanted.words[0] if len(wanted.words) == 1 else ""
        if not (word.isascii() and word.isdecimal() and len(word) <= LONGEST_ID):
            return []
        return list(_ids(self._rows.filter(wanted.of_state, wanted.otherwise, pk=int(word))))


_BY_OUTCOME: dict[str | None, list[Callable[[Look], Ids]]] = {
    SUCCESSFUL: [Look._successes],
    FAILED: [Look._failures],
    FINISHED: [Look._successes, Look._failures],
}


def _ids(rows: QuerySet[Any]) -> Ids:
    return rows.values_list("pk", flat=True)
