"""What stands for a span where there is none, and what becomes of errors of spans."""

import logging
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

logger = logging.getLogger("leek")

Ended = TypeVar("Ended")


class Row(Protocol):
    """A row of QueuedTasks, as far as a span tells of it."""

    pk: Any
    name: Any
    queue: Any
    duplicate: bool


class Untraced:
    """Stands for the span of a push or of an attempt where there is none."""

    def __enter__(self) -> "Untraced":
        return self

    def __exit__(self, *raised: object) -> None:
        """Do nothing."""

    def tell(self, rows: Sequence[Row]) -> None:
        """Note what was pushed."""

    def ended(self, outcome: Ended) -> Ended:
        """Note how the attempt ended, and return that."""
        return outcome


UNTRACED = Untraced()


_complained = False


def complain(error: Exception) -> None:
    """Log what went wrong with a span, once: pushes and tasks go on without it."""
    global _complained
    if not _complained:
        _complained = True
        logger.warning(
            "Tracing has failed, and pushes and tasks go on without it: %s: %s",
            type(error).__name__,
            error,
        )
