"""What the pushers push. Each task says that it runs, and under which tag it was pushed."""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from contextvars import ContextVar

from django.db.models import F

from leek.api import policy
from leek.outcome import Claimed
from tests.faults.chaos import log
from tests.faults.chaos.models import Counts, Number

current: ContextVar[Claimed] = ContextVar("current")


def _say(tag: str) -> None:
    log.write("ran", task=current.get().id, tag=tag)


def work(tag: str, seconds: float) -> None:
    """Last for so many seconds."""
    _say(tag)
    time.sleep(seconds)


def remind(tag: str, delay: float) -> None:
    """Do nothing; it was to be done after a delay."""
    _say(tag)


def fail_at_first(tag: str, tries: float) -> None:
    """Fail at the first so many tries."""
    _say(tag)
    if current.get().tries < tries:
        raise ConnectionError("not yet")


def fail(tag: str, seconds: float) -> None:
    """Fail at each try."""
    _say(tag)
    raise ValueError("as asked")


def kill_process(tag: str, how: str) -> None:
    """Take the process down."""
    _say(tag)
    if how == "exit":
        os._exit(0)
    if how == "segfault":
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # until the signal is there


@policy(atomic=True, max_retries=20)  # a query that a fault cuts off is a try
def count(tag: str, seconds: float) -> None:
    """Say who adds to the number, and after a while add one, in the same transaction.

    The database itself adds, so that none overwrites what another has added, which would hide that
    one counts twice.
    """
    _say(tag)
    claimed = current.get()
    Counts.objects.create(task=claimed.id, owner=claimed.owner, claim=claimed.claim)
    time.sleep(seconds)
    Number.objects.update(value=F("value") + 1)


BY_KIND: dict[str, Callable[..., None]] = {
    "quick": work,
    "slow": work,
    "later": remind,
    "flaky": fail_at_first,
    "failing": fail,
    "killer": kill_process,
    "count": count,
}
