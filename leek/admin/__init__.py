"""Django's admin: what was pushed and how it ended, servers, schedules."""

from leek.admin.outcomes import FailedAttemptsAdmin, FailedTasksAdmin, SuccessTasksAdmin
from leek.admin.servers import GatesAdmin, SchedulesAdmin, ServersAdmin
from leek.admin.tasks import QueuedTasksAdmin

__all__ = [
    "FailedAttemptsAdmin",
    "FailedTasksAdmin",
    "GatesAdmin",
    "QueuedTasksAdmin",
    "SchedulesAdmin",
    "ServersAdmin",
    "SuccessTasksAdmin",
]
