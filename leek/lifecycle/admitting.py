"""RUNNING ──settle──► BLOCKED ──unblock──► READY: tasks that have to wait at gates

The row of a gate is the lock under which tasks are counted that may not exceed a limit or a rate.
Counted against a limit are the rows that are RUNNING and marked with it, so that whatever ends an
attempt, be it a rescue, makes room at once.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from leek.conditions import Gate, Rate
from leek.database import Now, after, update_unlocked
from leek.lifecycle import sets
from leek.models import Gates, queue_database
from leek.outcome import Claimed

MOST_GATES = 1000  # looked at together


class Opening(NamedTuple):
    """How many tasks a gate lets through now, and in how many seconds more if that is known."""

    tasks: int
    seconds_to_next: float | None = None


class _GateNow(NamedTuple):
    """The starts at a gate, and what time it is by the database's clock."""

    starts: Mapping[str, int]
    now: datetime


def admit(claimed: Claimed, gates: Sequence[Gate]) -> str | None:
    """Count a claimed task as started at its gates, or return the name of one that is closed.

    Raise Superseded if the task is no longer its claim's.
    """
    in_order = sorted(gates, key=lambda gate: gate.name)  # no two tasks wait for each other
    with transaction.atomic(using=queue_database()):
        for gate in in_order:
            _hold(gate)
        rows = _gates().filter(name__in=[gate.name for gate in gates])
        found = {
            name: _GateNow(starts, now)
            for name, starts, now in rows.values_list("name", "starts", Now())
        }
        for gate in in_order:
            if not _is_open(gate, found[gate.name]):
                return gate.name
        for gate in in_order:
            _count(claimed, gate, found[gate.name])
    return None


def blocked_at(queues: Collection[str] | None) -> list[str]:
    """Return the names of the gates at which tasks of these queues wait."""
    waiting = sets.tasks().of_queues(queues).blocked()
    names = waiting.order_by("blocked_by").values_list("blocked_by", flat=True).distinct()
    return [name for name in names[:MOST_GATES] if name is not None]


def openings(names: Sequence[str]) -> dict[str, Opening]:
    """Tell of the gates of limits and rates how many tasks they let through now.

    One that nobody has counted at yet lets one through, which will.
    """
    rows = _gates().filter(name__in=names).exclude(capacity=None)
    return {name: Opening(1) for name in names} | {
        name: _opening(name, capacity, period, _GateNow(starts, now))
        for name, capacity, period, starts, now in rows.values_list(
            "name", "capacity", "period", "starts", Now()
        )
    }


def _opening(name: str, capacity: int, period: float | None, row: _GateNow) -> Opening:
    if period is None:
        return Opening(max(capacity - _running(name), 0))
    rate, now = Rate(capacity, period), row.now.timestamp()
    return Opening(rate.free(row.starts, now), rate.seconds_to_next(row.starts, now))


def unblock(name: str, limit: int, queues: Collection[str] | None) -> int:
    """Let up to `limit` tasks go on that wait at a gate, the most urgent first; return how many.

    One that somebody else has locked is left for later.
    """
    waiting = sets.tasks().of_queues(queues).blocked().filter(blocked_by=name)
    return update_unlocked(waiting, limit, **sets.GIVEN_BACK, blocked_by=None)


def note_outage(name: str, reason: str) -> None:
    """Store that a service is down, and why, for all to see; since when, if that is new."""
    _make(name)
    row = _gates().filter(name=name)
    row.update(reason=reason, used_at=Now(), closed_since=Coalesce("closed_since", Now()))


def note_return(name: str) -> None:
    """Store that a service works again."""
    _gates().filter(name=name).update(closed_since=None, reason="")


def forget_gates(unused_for: float) -> int:
    """Delete gates that were not used for so many seconds, and hold up nobody; return how many.

    That of a rate is kept for twice its period at least, because it knows what started within it.
    """
    usual = _gates().filter(Q(period=None) | Q(period__lte=unused_for / 2))
    others = _gates().filter(period__gt=unused_for / 2)
    periods = list(others.order_by("period").values_list("period", flat=True).distinct())
    return _forget(usual, unused_for) + sum(
        _forget(others.filter(period=period), 2 * period) for period in periods if period
    )


def _forget(gates: QuerySet[Gates], unused_for: float) -> int:
    waiting = sets.tasks().blocked().order_by().filter(blocked_by=OuterRef("name"))
    unused = gates.filter(~Exists(waiting), used_at__lt=after(-unused_for))
    ids = list(unused.values_list("pk", flat=True)[:MOST_GATES])
    return unused.filter(pk__in=ids)._raw_delete(queue_database()) if ids else 0


def _gates() -> QuerySet[Gates]:
    return Gates.objects.using(queue_database())


def _make(name: str) -> None:
    """Have a row for a gate, whoever makes it."""
    new = Gates(name=name, used_at=timezone.now())
    _gates().bulk_create([new], ignore_conflicts=True)


def _hold(gate: Gate) -> None:
    """Lock the row of a gate, so that nobody else counts there until this transaction ends."""
    capacity, period = (gate.rate.number, gate.rate.period) if gate.rate else (gate.running, None)
    row = _gates().filter(name=gate.name)
    while not row.update(capacity=capacity, period=period, used_at=Now()):
        _make(gate.name)


def _is_open(gate: Gate, row: _GateNow) -> bool:
    if gate.rate:
        return gate.rate.free(row.starts, row.now.timestamp()) > 0
    return gate.running is None or _running(gate.name) < gate.running


def _running(name: str) -> int:
    return sets.tasks().running().filter(limited_by=name).count()


def _count(claimed: Claimed, gate: Gate, row: _GateNow) -> None:
    if gate.rate:
        starts = gate.rate.noted(row.starts, row.now.timestamp())
        _gates().filter(name=gate.name).update(starts=starts)
        return
    mine = sets.claimed(claimed.owner, claimed.claim).filter(pk=claimed.id)
    if not mine.update(limited_by=gate.name):
        raise sets.Superseded
