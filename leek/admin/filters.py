"""By what the list of tasks is filtered. Only `leek.admin.looking` knows how they are found."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from leek.admin.recent import recent
from leek.admin.wanted import FINISHED, OF_STATE, WAITING
from leek.models import State

Choices = list[tuple[str, Any]]


class TaskFilter(admin.SimpleListFilter):
    """Says what is wanted; a value need not be among those that are offered."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return the values that are offered, and the one that is chosen."""
        offered = self.offered(request)
        chosen = self.value()
        if chosen and chosen not in dict(offered):
            offered.append((chosen, chosen))
        return offered

    def offered(self, request: HttpRequest) -> Choices:
        """Return the values that are offered, and what they are called."""
        raise NotImplementedError

    def value(self) -> str | None:
        """Return the value in the address; refuse what no database could hold."""
        value: str | None = super().value()
        if value and "\0" in value:
            raise IncorrectLookupParameters(value)
        return value or None

    @property
    def wanted(self) -> dict[str, Any]:
        """What is wanted, in the words of `leek.admin.wanted`."""
        return {str(self.parameter_name): self.value()}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Leave the rows to the list."""


class StateFilter(TaskFilter):
    """By where a task is in its life."""

    title = _("state")
    parameter_name = "state"

    def offered(self, request: HttpRequest) -> Choices:
        """Return all states, and two that are several."""
        states = [(state.name.lower(), state.label) for state in State]
        return [*states, (WAITING, _("waiting (ready, or due)")), (FINISHED, _("finished"))]

    def value(self) -> str | None:
        """Return the state as a word; its number does as well."""
        value = super().value()
        if value is None:
            return None
        word = value.lower()
        numbers = {str(state.value): state.name.lower() for state in State}
        word = numbers.get(word, word)
        if word not in (*OF_STATE, WAITING, FINISHED):
            raise IncorrectLookupParameters(value)
        return word


class QueueFilter(TaskFilter):
    """By queue."""

    title = _("queue")
    parameter_name = "queue"

    def offered(self, request: HttpRequest) -> Choices:
        """Return the queues of the newest tasks."""
        return [(queue, queue) for queue in recent(request).queues]


class NameFilter(TaskFilter):
    """By the name of the task."""

    title = _("name")
    parameter_name = "name"

    def offered(self, request: HttpRequest) -> Choices:
        """Return the names of the newest tasks, and of those that ran."""
        return [(name, name) for name in recent(request).names]


class ExceptionFilter(TaskFilter):
    """By the type of exception, with or without its module."""

    title = _("exception")
    parameter_name = "exception"

    def offered(self, request: HttpRequest) -> Choices:
        """Return the types that the newest failures have."""
        return [(name, name) for name in recent(request).exceptions]


class PushedFilter(TaskFilter):
    """By how long ago the task was pushed."""

    title = _("time of the push")
    parameter_name = "pushed"
    spans = {
        "hour": (_("Last hour"), timedelta(hours=1)),
        "day": (_("Last 24 hours"), timedelta(days=1)),
        "week": (_("Last 7 days"), timedelta(days=7)),
    }

    def offered(self, request: HttpRequest) -> Choices:
        """Return the spans of time."""
        return [(word, label) for word, (label, _span) in self.spans.items()]

    def value(self) -> str | None:
        """Return the word for a span of time."""
        value = super().value()
        if value is not None and value not in self.spans:
            raise IncorrectLookupParameters(value)
        return value

    @property
    def wanted(self) -> dict[str, datetime | None]:
        """Since when the task may have been pushed."""
        value = self.value()
        return {"since": timezone.now() - self.spans[value][1] if value else None}


FILTERS: list[Any] = [StateFilter, QueueFilter, NameFilter, ExceptionFilter, PushedFilter]
