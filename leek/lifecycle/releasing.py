"""RUNNING ──release──► READY, or DEFERRED: given back as if nothing had been claimed"""

from collections.abc import Iterable

from django.db import transaction

from leek.database import after, unlocked
from leek.lifecycle import sets
from leek.models import State, queue_database
from leek.outcome import Claimed


def release(claimed: Iterable[Claimed]) -> int:
    """Give claimed tasks back, at no cost to them; return how many were still their claim's."""
    return sum(
        sets.claimed(*fence).filter(pk__in=ids).update(**sets.GIVEN_BACK)
        for fence, ids in sets.by_fence(claimed).items()
    )


def postpone(claimed: Iterable[Claimed], seconds: float) -> None:
    """Give claimed tasks back, to be due in so many seconds, at no cost to them."""
    changes = sets.NO_PROGRESS | {
        "state": State.DEFERRED,
        "owner": None,
        "limited_by": None,
        "run_after": after(seconds),
    }
    for fence, ids in sets.by_fence(claimed).items():
        sets.claimed(*fence).filter(pk__in=ids).update(**changes)


def release_claim(server_id: int, number: int) -> int:
    """Give back all that one claim took, after its answer got lost; return how many tasks."""
    return sets.claimed(server_id, number).update(**sets.GIVEN_BACK)


def release_all(server_id: int) -> int:
    """Give back all that a server has claimed; return how many tasks."""
    return sets.owned(server_id).update(**sets.GIVEN_BACK)


def release_abandoned(server_id: int) -> int:
    """Give back what a server had claimed that is gone; return how many tasks.

    What its last transaction has locked is passed over: the database may take long to notice that
    nobody will end that, or it ends well.
    """
    with transaction.atomic(using=queue_database()):
        return unlocked(sets.owned(server_id)).update(**sets.GIVEN_BACK)
