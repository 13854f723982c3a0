"""Adds up what the servers have counted of the attempts that ended."""

from collections.abc import Mapping
from dataclasses import asdict, replace

from django.db import transaction
from django.db.models import F, QuerySet

from leek.database import after, as_stored, in_utc
from leek.models import Tallies, queue_database
from leek.outcome import Outcome
from leek.tally import EVER, Slice, Tally

KEPT_FOR = 25 * 3600  # seconds that slices of time are kept, but for the one that never ends


def add_tallies(tallies: Mapping[Slice, Tally]) -> None:
    """Add these to what is stored already, in one transaction.

    Each row is changed before it is read, so that servers wait for each other, in the same order.
    """
    with transaction.atomic(using=queue_database()):
        for where in sorted(tallies):
            _add(where, tallies[where])


def _add(where: Slice, tally: Tally) -> None:
    slice_stored = where._replace(begins_at=as_stored(where.begins_at))._asdict()
    row = _rows().filter(**slice_stored)
    counts = asdict(tally)
    waits, runs = counts.pop("waits"), counts.pop("runs")
    if not row.update(**{name: F(name) + more for name, more in counts.items()}):
        new = Tallies(**slice_stored)
        _rows().bulk_create([new], ignore_conflicts=True)
        row.update(**{name: F(name) + more for name, more in counts.items()})
    stored = Tally(waits=waits, runs=runs)
    for waits, runs in row.values_list("waits", "runs"):
        stored.add(Tally(waits=waits, runs=runs))
    row.update(waits=stored.waits, runs=stored.runs)


def forget_tallies() -> int:
    """Delete the slices that are too old to be shown; return how many."""
    old = _rows().exclude(period=EVER).filter(begins_at__lt=after(-KEPT_FOR))
    return old._raw_delete(queue_database())


def with_zones(outcome: Outcome) -> Outcome:
    """Return an outcome of a site without USE_TZ with times that can be subtracted."""
    return replace(
        outcome,
        claimed=outcome.claimed._replace(claimed_at=in_utc(outcome.claimed.claimed_at)),
        started_at=in_utc(outcome.started_at),
        finished_at=in_utc(outcome.finished_at),
    )


def _rows() -> QuerySet[Tallies]:
    return Tallies.objects.using(queue_database())
