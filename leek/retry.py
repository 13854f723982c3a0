"""What follows a failed attempt. Pure: no clock, no database."""

from dataclasses import dataclass

JITTER_SPREAD = 0.1


@dataclass(frozen=True)
class RetryPolicy:
    """How often a task is tried, and how long it waits in between.

    `max_retries` is the number of tries in all; `delay` (seconds) is what the second one waits
    for, and doubles from try to try up to `max_delay` (seconds).
    """

    max_retries: int
    delay: float
    max_delay: float

    def delay_after(self, attempt: int, *, jitter: float = 0.0) -> float | None:
        """Return the seconds until the next try, or None to give up.

        `attempt` is the number of the try that failed, from 1. `jitter`, from 0 to 1, lengthens
        the delay by up to a tenth, so that tasks that failed together do not return together.
        """
        if attempt >= self.max_retries:
            return None
        return backoff(attempt, self.delay, self.max_delay) * (1 + JITTER_SPREAD * jitter)


def backoff(failures: int, first: float, longest: float) -> float:
    """Return the delay after a number of failures: `first`, then doubling, up to `longest`."""
    doublings = min(failures - 1, 60)
    return min(first * 2.0**doublings, longest)
