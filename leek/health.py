"""Whether the queue is fit for work, as a monitor asks. Read-only."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from django import db

from leek import queue_figures
from leek.database import Now
from leek.models import FailedTasks, Servers
from leek.status import brief

COUNTED = 1000  # failed tasks that are counted where no limit asks for more
MOST_FAILED = 100_000


@dataclass(frozen=True)
class Limits:
    """What is still fit: seconds that a task may wait, and how many may have failed.

    None for no limit.
    """

    max_age: float | None = None
    max_failed: int | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> "Limits":
        """Read them from the parameters of a URL; raise ValueError, saying what is wrong."""
        for name in parameters:
            if name not in ("max_age", "max_failed"):
                raise ValueError(f"{name} is no parameter. Known are max_age and max_failed.")
        age, failed = parameters.get("max_age"), parameters.get("max_failed")
        return cls(
            None if age is None else _seconds(age), None if failed is None else _number(failed)
        )


@dataclass(frozen=True)
class Health:
    """How the queue is, and in words what is wrong with it; what could not be read is None.

    `failed` is not counted any further than is needed.
    """

    database: bool
    servers: int | None
    oldest_waiting: float | None
    failed: int | None
    problems: list[str]

    @property
    def is_ready(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def look(limits: Limits) -> Health:
    """Ask the database, in a few statements that are quick however many tasks there are."""
    try:
        servers = Servers.objects.filter(expires_at__gte=Now(), port__gt=0).count()
        waiting = queue_figures.oldest_waiting()
        most = COUNTED if limits.max_failed is None else max(COUNTED, limits.max_failed + 1)
        failed = FailedTasks.objects.order_by()[:most].count()
    except db.Error as error:
        reason = brief(f"{type(error).__name__}: {error}")
        problem = f"The queue's database cannot be read: {reason}"
        return Health(False, None, None, None, [problem])
    return Health(True, servers, waiting, failed, _problems(limits, servers, waiting, failed))


def _problems(limits: Limits, servers: int, waiting: float | None, failed: int) -> list[str]:
    problems = []
    if not servers:
        problems.append("No server is running: none has a lease that lives.")
    if limits.max_age is not None and waiting is not None and waiting > limits.max_age:
        problems.append(
            f"A task has been waiting for {waiting:.1f} s, which is more than {limits.max_age:g} s."
        )
    if limits.max_failed is not None and failed > limits.max_failed:
        problems.append(f"More than {limits.max_failed} task(s) have failed.")
    return problems


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise ValueError(f"max_age is {brief(text)!r}. Give a number of seconds from 0.")
    return seconds


def _number(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if not 0 <= number <= MOST_FAILED:
        raise ValueError(
            f"max_failed is {brief(text)!r}. Give a whole number from 0 to {MOST_FAILED}."
        )
    return number
