"""All tasks."""

from django.contrib import admin

from leek.admin.actions import TaskActions
from leek.admin.live import LivePageAdmin
from leek.admin.task_columns import TaskListAdmin
from leek.admin.task_page import TaskPage
from leek.models import QueuedTasks


@admin.register(QueuedTasks)
class QueuedTasksAdmin(TaskActions, TaskPage, LivePageAdmin, TaskListAdmin):
    """All tasks."""

    class Media:
        css = {"all": ["leek/task_list.css", "leek/task.css"]}
