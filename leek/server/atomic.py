"""Runs a task so that what it writes and its success are one transaction."""

from collections.abc import Callable
from dataclasses import replace

from django import db
from django.db import transaction
from django.utils import timezone

from leek import lifecycle
from leek.database import is_transient
from leek.models import queue_database
from leek.outcome import Claimed, Outcome, Success, Undone


class _NoSuccess(Exception):
    """Undoes what the task has written."""


def run_atomically(
    claimed: Claimed, run: Callable[[], Outcome], raised: Callable[[BaseException], Outcome]
) -> Outcome:
    """Run a task, and store its success with what it wrote; return how it ended.

    `run` runs it, `raised` tells what follows an error. What it wrote is undone if it does not
    succeed, and if it is no longer its claim's.
    """
    started_at = timezone.now()
    outcome: Outcome = Undone(claimed, started_at, started_at)
    try:
        with transaction.atomic(using=queue_database()):
            lifecycle.begin_with_write(claimed)
            outcome = run()
            if not isinstance(outcome, Success):
                raise _NoSuccess
            lifecycle.settle_within(outcome)
    except (_NoSuccess, lifecycle.Superseded):
        return outcome  # a success is refused by the fence once more, where it is logged
    except db.Error as error:
        if is_transient(error):  # whether it was committed, the fence tells who gives it back
            return Undone(claimed, started_at, timezone.now())
        return raised(error)
    return replace(outcome, is_stored=True)
