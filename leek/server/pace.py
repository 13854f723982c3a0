"""How many tasks to claim ahead of the workers. Pure: durations come in as numbers."""

WORK_AHEAD = 0.1  # seconds of work that may wait in this server
MOST_AHEAD = 1000
WEIGHT = 0.05  # of the latest task in the moving average


class Pace:
    """Measures how long tasks take, and says how many may be claimed before they can start.

    Tiny tasks are claimed by the hundred, because each claim costs a commit; slow ones only when a
    worker is free, because another server may be idle. The number at most doubles from one claim
    to the next, so that a few tiny tasks do not make the server greedy.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._average: float | None = None
        self._limit = 0

    def record(self, seconds: float) -> None:
        """Note how long a task took a worker."""
        if self._average is None:
            self._average = seconds
        else:
            self._average += WEIGHT * (seconds - self._average)

    def forget(self) -> None:
        """Begin anew, after tasks had to be given back because a worker did not get to them."""
        self._average = None
        self._limit = 0

    @property
    def ahead(self) -> int:
        """The number of tasks that may wait for a worker."""
        if self._average is None:
            return 0
        fitting = WORK_AHEAD * self._workers / max(self._average, 1e-6)
        return int(min(fitting, self._limit, MOST_AHEAD))

    def claimed(self, number: int) -> None:
        """Note how many tasks a claim gave."""
        self._limit = max(2 * (number + self._workers), self._limit)
