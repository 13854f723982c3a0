"""The list of all tasks."""

from django.contrib import admin

from leek.admin.actions import TaskActions
from leek.admin.live import LivePageAdmin
from leek.admin.task_page import TaskPage
from leek.models import QueuedTasks


@admin.register(QueuedTasks)
class QueuedTasksAdmin(TaskActions, TaskPage, LivePageAdmin):
    """All tasks."""

    list_display = ["id", "name", "state", "queue", "priority", "pushed_at", "run_after", "tries"]
    list_filter = ["state"]
    search_fields = ["=id", "name"]
    ordering = ["-id"]
    long_columns = ("payload",)
