"""Queues that are paused: no server takes a task from them until they are resumed."""

from django.db.models import QuerySet
from django.utils import timezone

from leek.models import PausedQueues, queue_database


def pause(queue: str) -> bool:
    """Pause a queue; return whether it was not paused before."""
    if _rows().filter(name=queue).exists():
        return False
    new = PausedQueues(name=queue, paused_at=timezone.now())
    _rows().bulk_create([new], ignore_conflicts=True)
    return True


def resume(queue: str) -> bool:
    """Resume a queue; return whether it was paused."""
    return bool(_rows().filter(name=queue).delete()[0])


def _rows() -> QuerySet[PausedQueues]:
    return PausedQueues.objects.using(queue_database())
