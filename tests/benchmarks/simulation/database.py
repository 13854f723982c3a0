"""The database: rows that wait, transactions that take time, and leases."""

from collections import Counter, deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from tests.benchmarks.simulation.clock import Clock, Course
from tests.benchmarks.simulation.costs import Costs
from tests.benchmarks.simulation.stations import Station


@dataclass(eq=False)
class Row:
    """A pushed task, and the times of what happened to it."""

    queue: int
    asked_at: float
    pushed_at: float = 0.0
    started_at: float | None = None
    stored_at: float | None = None
    runs: int = 0

    @property
    def waited(self) -> float:
        """The seconds from the push to the latest start."""
        return (self.started_at or self.pushed_at) - self.pushed_at

    def begin(self, now: float) -> None:
        """Note that an attempt begins."""
        self.runs += 1
        self.started_at = now


class Database:
    """Holds the rows by queue. What a transaction changes is seen when it is over.

    `used` are the seconds of its processors, by what they were used for.
    """

    def __init__(self, clock: Clock, costs: Costs, processors: Station) -> None:
        self.processors = processors
        self.log = Station(clock, costs.at_once)
        self.used: Counter[str] = Counter()
        self.commits: Counter[str] = Counter()
        self.leases: dict[Hashable, float] = {}
        self.stored: list[Row] = []
        self._clock = clock
        self._costs = costs
        self._ready: dict[int, deque[Row]] = {}
        self._owned: dict[Hashable, set[Row]] = {}
        self._being_claimed: Counter[int] = Counter()

    @property
    def waiting(self) -> int:
        """The number of rows that nobody has claimed."""
        return sum(map(len, self._ready.values()))

    @property
    def claimed(self) -> int:
        """The number of rows that servers have, or are claiming."""
        return self._being_claimed.total() + sum(map(len, self._owned.values()))

    def push(self, rows: list[Row]) -> Course:
        """Store rows in one transaction."""
        yield from self._transaction("push", self._costs.push.seconds(len(rows)))
        for row in rows:
            row.pushed_at = self._clock.now
        self._give(rows)

    def claim(self, server: Hashable, queues: Iterable[int], limit: int, got: list[Row]) -> Course:
        """Put up to `limit` ready rows into `got`."""
        queues = list(queues)
        skipped = sum(self._being_claimed[queue] for queue in queues)
        rows = self._take(queues, limit)
        taken = Counter(row.queue for row in rows)
        self._being_claimed += taken
        seconds = self._costs.claim.seconds(len(rows)) + skipped * self._costs.skipped
        yield from self._transaction("claim", seconds, waits=self._costs.claim_waits)
        self._being_claimed -= taken
        self._owned.setdefault(server, set()).update(rows)
        got.extend(rows)

    def settle(self, server: Hashable, rows: list[Row]) -> Course:
        """Store the outcomes of rows in one transaction."""
        yield from self._transaction("settle", self._costs.settle.seconds(len(rows)))
        mine = self._owned.get(server, set())
        for row in rows:
            if row in mine:  # the fence
                mine.remove(row)
                row.stored_at = self._clock.now
                self.stored.append(row)

    def look(self) -> Course:
        """Read the agenda."""
        yield from self._transaction("look", self._costs.look, waits=False, commits=False)

    def renew(self, server: Hashable, seconds: float) -> Course:
        """Renew a lease."""
        yield from self._transaction("beat", self._costs.beat)
        self.leases[server] = self._clock.now + seconds

    def rescue(self, server: Hashable) -> Course:
        """Give the rows of a dead server back, where no other was faster."""
        if self.leases.pop(server, None) is not None:
            rows = self._owned.pop(server, set())
            yield from self._transaction("rescue", self._costs.claim.seconds(len(rows)))
            self._give(sorted(rows, key=lambda row: row.pushed_at))

    def has_ready(self, queues: Iterable[int]) -> bool:
        """Tell whether there is a row to be claimed."""
        return any(self._ready.get(queue) for queue in queues)

    def expired(self) -> list[Hashable]:
        """Return the servers whose lease is over."""
        return [server for server, end in self.leases.items() if end < self._clock.now]

    def _give(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._ready.setdefault(row.queue, deque()).append(row)

    def _take(self, queues: list[int], limit: int) -> list[Row]:
        rows: list[Row] = []
        for queue in queues:
            ready = self._ready.get(queue, deque())
            while ready and len(rows) < limit:
                rows.append(ready.popleft())
        return rows

    def _transaction(
        self, what: str, seconds: float, *, waits: bool = True, commits: bool = True
    ) -> Course:
        self.used[what] += seconds  # type: ignore[assignment]
        self.commits[what] += commits
        yield from self.processors.serve(seconds)
        if waits:
            yield from self.log.serve(self._costs.commit)
