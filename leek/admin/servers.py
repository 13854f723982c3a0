"""What the servers go by: their leases, gates and schedules."""

from django.contrib import admin

from leek.admin.readonly import ReadOnlyAdmin
from leek.models import Gates, Schedules, Servers


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
