"""What a client may ask of the server: request name -> function."""

from collections.abc import Callable
from typing import Protocol

from django import db

from leek import status
from leek.conf import protocol_secrets
from leek.connections import close_connections
from leek.protocol import Reply, answer_to, answers_match, task_in

WORKER_OFF = Reply(False, "Worker Off")
NOT_CANCELLED = Reply(False, "not here, or cannot be stopped")


class Control(Protocol):
    """What the commands need of the running server."""

    @property
    def worker_on(self) -> bool:
        """Whether tasks are run."""

    @property
    def handled(self) -> int:
        """The attempts that ended since the Worker started."""

    @property
    def claimed_waiting(self) -> int:
        """The claimed tasks that no worker has begun."""

    def hint(self) -> None:
        """Look for work now."""

    def offer(self) -> bool:
        """Look for work now, or where there is no room for it when there is; return which."""

    def cancel(self, task_id: int) -> bool:
        """Cancel a task that this server has claimed, where that is possible."""

    def stop_worker(self) -> None:
        """Stop the Worker, and return when it is off."""

    def stop(self) -> None:
        """Stop the Worker, then the server; return when the Worker is off."""


def ping(control: Control) -> Reply:
    """Tell whether tasks are run."""
    return Reply(True, "I'm OK")


def waiting(control: Control) -> Reply:
    """Count the due tasks that nobody runs yet, in the whole database."""
    try:
        return Reply(True, status.waiting() + control.claimed_waiting)
    except db.Error as error:
        return Reply(False, f"database: {error}")
    finally:
        close_connections()


def handled(control: Control) -> Reply:
    """Count the attempts that ended since the Worker started."""
    return Reply(True, control.handled)


def stop_worker(control: Control) -> Reply:
    """Stop the Worker; the socket stays."""
    control.stop_worker()
    return Reply(True, WORKER_OFF.value)


def stop(control: Control) -> Reply:
    """Stop the Worker, then the server."""
    control.stop()
    return Reply(True, WORKER_OFF.value)


QUESTIONS: dict[str, Callable[[Control], Reply]] = {
    "ping": ping,
    "waiting": waiting,
    "handled": handled,
}
SLOW = {"waiting"}  # those that ask the database
ORDERS: dict[str, Callable[[Control], Reply]] = {"stop-worker": stop_worker, "stop": stop}


def answer(question: str, control: Control) -> Reply:
    """Answer a question."""
    if question not in QUESTIONS:
        return Reply(False, f"unknown command {question}")
    return QUESTIONS[question](control) if control.worker_on else WORKER_OFF


def is_order(word: str) -> bool:
    """Tell whether a word is an order, so that its sender has to prove to know the secret."""
    return word in ORDERS or task_in(word, "cancel") is not None


def obey(order: str, control: Control) -> Reply:
    """Carry out an order whose sender has proved to know the site's secret."""
    if (task_id := task_in(order, "cancel")) is not None:
        return Reply(True, "cancelled") if control.cancel(task_id) else NOT_CANCELLED
    return ORDERS[order](control)


def secret_behind(given: str, order: str, nonce: str) -> bytes | None:
    """Return the key that answers the challenge so: of SECRET_KEY or its SECRET_KEY_FALLBACKS."""
    expected = {answer_to(nonce, order, secret): secret for secret in protocol_secrets()}
    matching = [expected[answer] for answer in expected if answers_match(given, answer)]
    return matching[0] if matching else None
