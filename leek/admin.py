"""Django's admin: what was pushed, how it ended, and which servers run. To be looked at only."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from leek.models import FailedTasks, QueuedTasks, Servers, SuccessTasks


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that only leek itself writes. Counts of all rows are left out: tables may be long."""

    show_full_result_count = False

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


class OutcomeAdmin(ReadOnlyAdmin):
    """Finished tasks."""

    search_fields = ["=task__id", "task__name"]
    ordering = ["-task_id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the outcomes with their tasks, in one query."""
        return super().get_queryset(request).select_related("task")

    @admin.display(description=_("name"))
    def name(self, outcome: SuccessTasks | FailedTasks) -> str:
        """Return the dotted path of the task's callable."""
        return outcome.task.name


@admin.register(SuccessTasks)
class SuccessTasksAdmin(OutcomeAdmin):
    """Tasks that succeeded."""

    list_display = ["task_id", "name", "started_at", "finished_at"]


@admin.register(FailedTasks)
class FailedTasksAdmin(OutcomeAdmin):
    """Tasks that failed for good."""

    list_display = ["task_id", "name", "exception_type", "exception_message", "finished_at"]


@admin.register(Servers)
class ServersAdmin(ReadOnlyAdmin):
    """Running servers."""

    list_display = ["hostname", "address", "port", "pid", "workers", "started_at", "expires_at"]
