"""The list of all tasks: its columns, filters and search."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from leek.admin.filters import FILTERS
from leek.admin.labels import label_of
from leek.admin.readonly import ReadOnlyAdmin
from leek.admin.task_list import TaskList
from leek.admin.wording import moment, span
from leek.models import FailedTasks, QueuedTasks, State, SuccessTasks

Outcome = SuccessTasks | FailedTasks


class TaskListAdmin(ReadOnlyAdmin):
    """Tasks, newest first, with how they went."""

    list_display = [
        "id",
        "state_label",
        "name",
        "queue",
        "priority",
        "pushed",
        "due",
        "started",
        "took",
        "attempts",
    ]
    list_filter = FILTERS
    list_select_related = ["success", "failure"]
    date_hierarchy = "pushed_at"
    sortable_by = ()
    ordering = ["-id"]
    search_fields = ["id", "name", "payload"]  # what they are called; leek.admin.looking searches
    search_help_text = _(
        "By id, or by what is in the name or the arguments. Arguments that were stored as a pickle,"
        " and secret ones, cannot be searched."
    )
    long_columns = (
        "payload",
        "success__result",
        "failure__exception_message",
        "failure__traceback",
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the class of the list."""
        return TaskList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Leave the search to the list."""
        return queryset, False

    @admin.display(description=_("state"))
    def state_label(self, task: QueuedTasks) -> SafeString:
        """Return the state as a coloured word."""
        return label_of(State(task.state))

    @admin.display(description=_("pushed"))
    def pushed(self, task: QueuedTasks) -> SafeString:
        """Return when it was pushed."""
        return moment(task.pushed_at)

    @admin.display(description=_("due"))
    def due(self, task: QueuedTasks) -> SafeString:
        """Return when it may start, or might have."""
        return moment(task.run_after)

    @admin.display(description=_("started"))
    def started(self, task: QueuedTasks) -> SafeString | None:
        """Return when its last attempt began, or when a server took it that runs it."""
        outcome = _outcome(task)
        began = outcome.started_at if outcome else _claimed_at(task)
        return moment(began) if began else None

    @admin.display(description=_("took"))
    def took(self, task: QueuedTasks) -> str | None:
        """Return how long its last attempt took, or has taken by now."""
        outcome, began = _outcome(task), _claimed_at(task)
        if outcome:
            return span((outcome.finished_at - outcome.started_at).total_seconds())
        return span((timezone.now() - began).total_seconds()) if began else None

    @admin.display(description=_("attempts"))
    def attempts(self, task: QueuedTasks) -> int:
        """Return how many attempts were begun, crashed ones included."""
        return task.tries + task.crashes + (task.state == State.RUNNING)


def _outcome(task: QueuedTasks) -> Outcome | None:
    kind = {State.SUCCESSFUL: "success", State.FAILED: "failure"}.get(State(task.state))
    outcome: Outcome | None = getattr(task, kind, None) if kind else None
    return outcome


def _claimed_at(task: QueuedTasks) -> datetime | None:
    return task.claimed_at if task.state == State.RUNNING else None
