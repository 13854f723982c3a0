"""Which signals tell of what; they are sent only where somebody listens (see `leek.signals`)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from django.dispatch import Signal

from leek.contracts import Tidings, finish_of
from leek.models import QueuedTasks, Status
from leek.outcome import Claimed, Crash, Failure, Outcome, Retry, Success
from leek.receivers import tell
from leek.signals import task_finished, task_pushed, task_retried, task_started


class SignalToSend(NamedTuple):
    """A signal and its arguments."""

    signal: Signal
    facts: dict[str, Any]

    def send(self) -> None:
        """Send it."""
        tell(self.signal, QueuedTasks, **self.facts)


def announce_pushes(rows: Sequence[QueuedTasks]) -> None:
    """Tell of tasks that were stored, in the transaction that stored them."""
    if task_pushed.has_listeners(QueuedTasks):
        for row in rows:
            SignalToSend(task_pushed, {"task": row}).send()


def announce_start(claimed: Claimed) -> None:
    """Tell that a task is about to run, in its thread."""
    if task_started.has_listeners(QueuedTasks):
        SignalToSend(task_started, _identity(claimed)).send()


async def announce_start_in_loop(claimed: Claimed) -> None:
    """Do as `announce_start`, in an event loop."""
    if task_started.has_listeners(QueuedTasks):
        await task_started.asend_robust(QueuedTasks, **_identity(claimed))


def tidings_of(outcome: Outcome) -> list[Tidings]:
    """Return what tells of an outcome that is stored, to those who listen.

    A task that has to wait, or could not be read yet, is nothing to tell of.
    """
    return [each for each in (_signal_of(outcome), finish_of(outcome)) if each is not None]


def _signal_of(outcome: Outcome) -> SignalToSend | None:
    match outcome:
        case Success():
            signal, status, error = task_finished, Status.SUCCESSFUL, None
        case Failure() | Crash(is_last=True):
            signal, status, error = task_finished, Status.FAILED, outcome.error
        case Retry(spends_try=True) | Crash():
            signal, status, error = task_retried, Status.READY, outcome.error
        case _:
            return None
    if not signal.has_listeners(QueuedTasks):
        return None
    facts = _identity(outcome.claimed) | {
        "status": status,
        "error": error and replace(error, traceback=""),
        "started_at": outcome.started_at,
        "finished_at": outcome.finished_at,
    }
    return SignalToSend(signal, facts)


def _identity(claimed: Claimed) -> dict[str, Any]:
    return {"task_id": claimed.id, "name": claimed.name, "attempt": claimed.attempt}
