"""What follows a failed attempt. Pure: no clock, no database."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leek.exceptions import GiveUp, Retry

JITTER_SPREAD = 0.1

Delay = float | Sequence[float] | Callable[[int], float]
Errors = tuple[type[BaseException], ...]


@dataclass(frozen=True)
class RetryPolicy:
    """How often a task is tried, after which errors, and how long it waits in between.

    `max_retries` is the number of tries in all. `delay` (seconds) is what the second one waits for,
    and doubles from try to try up to `max_delay` (seconds); or a list with what each waits for, the
    last for all that follow; or a function that is given the number of the try that failed.
    """

    max_retries: int
    delay: Delay
    max_delay: float
    retry_on: Errors = (BaseException,)
    give_up_on: Errors = ()

    def delay_after(
        self, attempt: int, error: BaseException | None = None, *, jitter: float = 0.0
    ) -> float | None:
        """Return the seconds until the next try, or None to give up.

        `attempt` is the number of the try that failed, from 1. `jitter`, from 0 to 1, lengthens
        a delay that doubles by up to a tenth, so that tasks that failed together do not return
        together.
        """
        if attempt >= self.max_retries or self._is_final(error):
            return None
        if isinstance(error, Retry) and error.after is not None:
            return error.after
        if callable(self.delay):
            return max(float(self.delay(attempt)), 0.0)
        if isinstance(self.delay, Sequence):
            return self.delay[min(attempt, len(self.delay)) - 1]
        return backoff(attempt, self.delay, self.max_delay) * (1 + JITTER_SPREAD * jitter)

    def _is_final(self, error: BaseException | None) -> bool:
        if error is None or isinstance(error, Retry):
            return False
        return isinstance(error, (GiveUp, *self.give_up_on)) or not isinstance(error, self.retry_on)


def backoff(failures: int, first: float, longest: float) -> float:
    """Return the delay after a number of failures: `first`, then doubling, up to `longest`."""
    doublings = min(failures - 1, 60)
    return min(first * 2.0**doublings, longest)
