"""What people order to be done with many tasks: in batches, within some seconds, and accounted for.

Who repeats an order that was not finished goes on with it: what is done is not meant any more.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from django import db
from django.db.models import QuerySet

from leek import handles, lifecycle
from leek.connections import on_commit_once
from leek.database import is_transient
from leek.hinting import hint
from leek.lifecycle import WAITING
from leek.models import QueuedTasks, State, queue_database
from leek.status import CAP
from leek.storing import start_stored
from leek.upkeep import in_batches

COUNTED = CAP  # further nobody counts
FEW = 100  # tasks that are told apart
AHEAD = 10_000  # keys of tasks, which a filter may take long to find
PATIENCE = 20.0  # seconds
SOON = 0.1  # seconds that a batch may take: people wait, and a commit alone may take a tenth of it

# The states that each order concerns
RETRIED = (State.FAILED,)
CANCELLED = (*WAITING, State.RUNNING)
PURGED = (State.SUCCESSFUL, State.FAILED)
HASTENED = (State.DEFERRED,)
MOVED = WAITING

Tasks = QuerySet[QueuedTasks]


class Batch(NamedTuple):
    """What became of some tasks: how many are `done`, and how many could not be."""

    done: int
    kept: int = 0


@dataclass(frozen=True)
class Order:
    """What to do with tasks in some states; given their ids, it tells what became of them."""

    states: Sequence[State]
    act: Callable[[list[int]], Batch]


@dataclass
class Report:
    """What became of an order.

    `kept` could not be done, `others` were not in a state in which they could, `left` are still to
    be done, because time was up or the database failed. `tasks` are those that are done, with their
    names, where they are few; counts end at COUNTED.
    """

    done: int = 0
    kept: int = 0
    others: int = 0
    left: int = 0
    tasks: list[QueuedTasks] = field(default_factory=list)


def number_of(rows: Tasks) -> int:
    """Count tasks, up to COUNTED."""
    return rows.order_by()[:COUNTED].count()


def carry_out(order: Order, rows: Tasks, patience: float = PATIENCE) -> Report:
    """Do what was ordered with these tasks, for some seconds; tell what became of them."""
    deadline = time.monotonic() + patience
    concerned = rows.filter(state__in=order.states)
    names = dict(concerned.order_by("pk").values_list("pk", "name")[: FEW + 1])
    few = len(names) <= FEW
    report = Report(others=number_of(rows.exclude(state__in=order.states)))
    last = 0

    def act(ids: list[int]) -> None:
        nonlocal last
        done, kept = order.act(ids)
        report.done, report.kept, last = report.done + done, report.kept + kept, ids[-1]
        report.others += len(ids) - done - kept
        if few and done:
            report.tasks += [QueuedTasks(pk=each, name=names.get(each, "")) for each in ids]

    try:
        for _ in in_batches(concerned, act, one_by_one=few, ahead=AHEAD, soon=SOON):
            if time.monotonic() > deadline:
                break
        else:
            return report
    except db.Error as error:
        if not is_transient(error) or db.connections[queue_database()].in_atomic_block:
            raise
    report.left = number_of(concerned.filter(pk__gt=last))
    return report


def retry() -> Order:
    """Push failed tasks back; those are kept whose unique key a newer one has."""

    def act(ids: list[int]) -> Batch:
        pushed = lifecycle.retry_failed(ids)
        start_stored(ids if pushed.number else ())
        return Batch(pushed.number, len(pushed.left))

    return Order(RETRIED, act)


def cancel() -> Order:
    """Cancel tasks; those are kept that run, and cannot be stopped."""
    unreachable: set[int] = set()

    def act(ids: list[int]) -> Batch:
        done = len(handles.cancel_many(ids, unreachable))
        still = QueuedTasks.objects.running().filter(pk__in=ids)
        return Batch(done, still.count() if done < len(ids) else 0)

    return Order(CANCELLED, act)


def purge() -> Order:
    """Delete finished tasks; those are kept that rows of the site refer to."""

    def act(ids: list[int]) -> Batch:
        done = lifecycle.purge(ids)
        return Batch(done, len(ids) - done)

    return Order(PURGED, act)


def run_now() -> Order:
    """Make deferred tasks due."""

    def act(ids: list[int]) -> Batch:
        done = lifecycle.run_now(ids)
        start_stored(ids if done else ())
        return Batch(done)

    return Order(HASTENED, act)


def move(queue: str | None, priority: int | None) -> Order:
    """Put waiting tasks into another queue, or give them another priority."""

    def act(ids: list[int]) -> Batch:
        done = lifecycle.reassign(ids, queue=queue, priority=priority)
        if done:  # perhaps a server is free that serves the new queue
            on_commit_once(queue_database(), hint)
        return Batch(done)

    return Order(MOVED, act)
