"""The tables, their indexes, and the sets of rows that have a name."""

from leek.models.base import QueueModel, QueueQuerySet, queue_database
from leek.models.gates import Gates
from leek.models.outcomes import AttemptLogs, FailedAttempts, FailedTasks, SuccessTasks
from leek.models.pauses import PausedQueues
from leek.models.schedules import Schedules
from leek.models.servers import Servers
from leek.models.states import State, Status
from leek.models.tallies import Tallies
from leek.models.tasks import QueuedTasks, QueuedTasksQuerySet

__all__ = [
    "AttemptLogs",
    "FailedAttempts",
    "FailedTasks",
    "Gates",
    "PausedQueues",
    "QueueModel",
    "QueueQuerySet",
    "QueuedTasks",
    "QueuedTasksQuerySet",
    "Schedules",
    "Servers",
    "State",
    "Status",
    "SuccessTasks",
    "Tallies",
    "queue_database",
]
