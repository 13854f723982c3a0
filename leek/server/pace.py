"""How many tasks to claim ahead of the workers. Pure: durations come in as numbers."""

WORK_AHEAD = 0.1  # seconds of work that may wait in this server
BRIEFLY_AHEAD = 0.01  # the same where a sibling may have room, besides what its claim would take
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
        self._claim_took = 0.0

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

    def ahead_within(self, seconds: float) -> int:
        """Return how many tasks may wait for a worker so that none waits longer than this."""
        if self._average is None:
            return 0
        fitting = seconds * self._workers / max(self._average, 1e-6)
        return int(min(fitting, self._limit, MOST_AHEAD))

    def most_wait(self, *, sibling_has_room: bool) -> float:
        """Return for how many seconds a task may wait here, as a sibling starts it no sooner.

        It would have to claim it first. Where the database is too busy for that, small claims would
        only keep it busier.
        """
        if not sibling_has_room:
            return WORK_AHEAD
        return min(BRIEFLY_AHEAD + self._claim_took, WORK_AHEAD)

    def room(self, unfinished: int, seconds: float) -> int:
        """Return how many tasks to claim where so many are unfinished; each may wait so long."""
        return self._workers + self.ahead_within(seconds) - unfinished

    def has_free_place(self, unfinished: int) -> bool:
        """Tell whether one more task would begin at once where so many are unfinished."""
        return unfinished < self._workers

    def has_place_for_suspect(self, unfinished: int) -> bool:
        """Tell whether a suspect may be claimed; until then no others are, where one waits."""
        return self.has_free_place(unfinished)

    def refill_at(self, seconds: float) -> int:
        """Return the number of unfinished tasks from which on more are to be claimed."""
        return self._workers + (self.ahead_within(seconds) + 1) // 2 - 1

    def claimed(self, number: int, seconds: float) -> None:
        """Note how many tasks a claim gave, and how long it took."""
        self._claim_took = seconds
        self._limit = max(2 * (number + self._workers), self._limit)
