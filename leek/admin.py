"""Django's admin: what was pushed and how it ended, servers, schedules. To be looked at only."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from leek.models import (
    FailedAttempts,
    FailedTasks,
    Gates,
    QueuedTasks,
    Schedules,
    Servers,
    SuccessTasks,
)

COUNTED = 500_000
LONGEST_CELL = 200  # characters


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

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: tasks are pushed, not added."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: only leek.lifecycle moves a task."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: finished tasks are purged by leek_purge."""
        return False


@admin.register(QueuedTasks)
class QueuedTasksAdmin(ReadOnlyAdmin):
    """All tasks."""

    list_display = ["id", "name", "state", "queue", "priority", "pushed_at", "run_after", "tries"]
    list_filter = ["state"]
    search_fields = ["=id", "name"]
    ordering = ["-id"]
    long_columns = ("payload",)


class OutcomeAdmin(ReadOnlyAdmin):
    """Finished tasks."""

    list_select_related = ["task"]
    search_fields = ["=task__id", "task__name"]
    ordering = ["-task_id"]

    @admin.display(description=_("name"))
    def name(self, outcome: SuccessTasks | FailedTasks | FailedAttempts) -> str:
        """Return the dotted path of the task's callable."""
        return outcome.task.name


@admin.register(SuccessTasks)
class SuccessTasksAdmin(OutcomeAdmin):
    """Tasks that succeeded."""

    list_display = ["task_id", "name", "started_at", "finished_at"]
    long_columns = ("task__payload", "result")


@admin.register(FailedTasks)
class FailedTasksAdmin(OutcomeAdmin):
    """Tasks that failed for good."""

    list_display = ["task_id", "name", "exception_type", "message", "finished_at"]
    search_fields = [*OutcomeAdmin.search_fields, "exception_type"]
    long_columns = ("task__payload", "traceback")

    @admin.display(description=_("exception message"))
    def message(self, failure: FailedTasks) -> str:
        """Return the beginning of the message."""
        return Truncator(failure.exception_message).chars(LONGEST_CELL)


@admin.register(FailedAttempts)
class FailedAttemptsAdmin(OutcomeAdmin):
    """What went wrong, time and again."""

    list_display = ["task_id", "attempt", "name", "exception_type", "finished_at"]
    search_fields = [*OutcomeAdmin.search_fields, "exception_type"]
    ordering = ["-id"]
    long_columns = ("task__payload", "traceback")


@admin.register(Gates)
class GatesAdmin(ReadOnlyAdmin):
    """What keeps tasks from starting."""

    list_display = ["name", "closed_since", "reason", "capacity", "period", "used_at"]
    search_fields = ["name"]
    ordering = ["name"]


@admin.register(Servers)
class ServersAdmin(ReadOnlyAdmin):
    """Running servers."""

    list_display = ["hostname", "address", "port", "pid", "workers", "started_at", "expires_at"]


@admin.register(Schedules)
class SchedulesAdmin(ReadOnlyAdmin):
    """Recurring tasks, and up to when they were pushed."""

    list_display = ["name", "due_at", "task_id"]
    search_fields = ["name"]
    ordering = ["name"]
