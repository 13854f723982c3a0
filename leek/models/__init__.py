"""The tables, their indexes, and the sets of rows that have a name."""

from leek.models.base import QueueModel, QueueQuerySet, queue_database
from leek.models.gates import Gates
from leek.models.outcomes import FailedAttempts, FailedTasks, SuccessTasks
from leek.models.schedules import Schedules
from leek.models.servers import Servers
from leek.models.states import State, Status
from leek.models.tasks import QueuedTasks, QueuedTasksQuerySet

__all__ = [
    "FailedAttempts",
    "FailedTasks",
    "Gates",
    "QueueModel",
    "QueueQuerySet",
    "QueuedTasks",
    "QueuedTasksQuerySet",
    "Schedules",
    "Servers",
    "State",
    "Status",
    "SuccessTasks",
    "queue_database",
]
