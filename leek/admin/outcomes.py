"""How tasks ended, and what went wrong on the way."""

from django.contrib import admin
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from leek.admin.readonly import ReadOnlyAdmin
from leek.admin.wording import address_of_task
from leek.arguments import result_of
from leek.models import FailedAttempts, FailedTasks, QueuedTasks, SuccessTasks

LONGEST_CELL = 200  # characters


class OutcomeAdmin(ReadOnlyAdmin):
    """Finished tasks."""

    list_select_related = ["task"]
    search_fields = ["=task__id", "task__name"]
    ordering = ["-task_id"]

    @admin.display(description=_("name"))
    def name(self, outcome: SuccessTasks | FailedTasks | FailedAttempts) -> str:
        """Return the dotted path of the task's callable, which leads to the task."""
        if QueuedTasks not in self.admin_site._registry:
            return outcome.task.name
        page = address_of_task(self.admin_site, outcome.task_id)
        return format_html('<a href="{}">{}</a>', page, outcome.task.name)


@admin.register(SuccessTasks)
class SuccessTasksAdmin(OutcomeAdmin):
    """Tasks that succeeded."""

    list_display = ["task_id", "name", "started_at", "finished_at"]
    fields = ["task", "shown_result", "server_id", "started_at", "finished_at"]
    readonly_fields = ["shown_result"]
    long_columns = ("task__payload", "result")

    @admin.display(description=_("result"))
    def shown_result(self, success: SuccessTasks) -> str:
        """Return what the task has returned, without what is secret in it."""
        return result_of(success.result)


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
