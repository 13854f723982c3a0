"""RUNNING ──rescue──► READY, DEFERRED or FAILED: what is done with a dead server's tasks"""

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone

from leek.database import Now, unlocked
from leek.lifecycle import sets
from leek.lifecycle.settling import settle_crash
from leek.lifecycle.tallying import add_tallies, with_zones
from leek.models import QueuedTasksQuerySet, Servers, queue_database
from leek.outcome import Crash
from leek.tally import tallies_of


class Rescued(NamedTuple):
    """What became of a dead server's tasks: the number given back, the ids of those that failed."""

    given_back: int
    lost: list[int]


def rescue(
    dead: Servers,
    was_running: Collection[int] | None,
    max_crashes: int,
    *,
    even_if_renewed: bool = False,
) -> Rescued | None:
    """End the lease of a dead server and give its tasks back; return what became of them.

    Those that it was running crashed with it: at the `max_crashes`th crash a task fails as
    WorkerLost. Where nobody knows what it was running (`was_running` None), all are suspects;
    charged is only the one that was a suspect before, because a server runs these one at a time.
    The crashes are counted, each as one that ended before the lease did, however much later the
    rescue comes. Tasks that its last transaction has locked stay its own, for `release_abandoned`.
    Return None, and do nothing, if the lease was renewed in the meantime, or another server was
    faster.
    """
    alias = queue_database()
    lease = Servers.objects.using(alias).filter(pk=dead.pk)
    if not even_if_renewed:
        lease = lease.filter(expires_at__lt=Now())
    with transaction.atomic(using=alias):
        if not lease._raw_delete(alias):  # one statement: delete() may read first
            return None
        owned = unlocked(sets.owned(dead.pk))
        crashes = _crashes(owned, was_running, max_crashes)
        for crash in crashes:
            settle_crash(crash)
        add_tallies(tallies_of(with_zones(_as_counted(crash, dead)) for crash in crashes))
        if was_running is None:
            owned.update(suspect=True)
        lost = [crash.claimed.id for crash in crashes if crash.is_last]
        return Rescued(len(crashes) - len(lost) + owned.update(**sets.GIVEN_BACK), lost)


def _crashes(
    owned: QueuedTasksQuerySet, was_running: Collection[int] | None, max_crashes: int
) -> list[Crash]:
    """Return the crashes of the tasks that a dead server was running, since it claimed them."""
    known = {"suspect": True} if was_running is None else {"pk__in": was_running}
    now = timezone.now()
    return [
        Crash(claimed, min(claimed.claimed_at, now), now, "died", max_crashes)
        for claimed in sets.as_claimed(owned.filter(**known).order_by("pk"))
    ]


def _as_counted(crash: Crash, dead: Servers) -> Crash:
    return replace(crash, finished_at=min(crash.finished_at, dead.expires_at))
