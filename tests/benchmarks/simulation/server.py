"""A server by leek's own rules: how much it claims and when, what it stores at once, its lease."""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from leek.server.heartbeat import BEATS_PER_LEASE
from leek.server.pace import Pace
from leek.server.recorder import MOST_TOGETHER
from leek.server.timetable import GATHERING, LOOK_AFTER
from tests.benchmarks.simulation.clock import Bell, Clock, Course
from tests.benchmarks.simulation.costs import Costs
from tests.benchmarks.simulation.database import Database, Row
from tests.benchmarks.simulation.stations import TURN, Interpreter, Station


@dataclass(frozen=True)
class Work:
    """What each task does: it waits for so many seconds, and computes for so many."""

    waiting: float = 0.0
    computing: float = 0.0


@dataclass(frozen=True)
class ServerOptions:
    """As the settings of a server have them; times are in seconds."""

    workers: int = 1
    poll_interval: float = 1.0
    lease: float = 30.0


class Server:
    """Claims, runs and stores. `forward` is called where there is more than it can start.

    `may_forward` tells whether a sibling may have room.
    """

    def __init__(
        self,
        clock: Clock,
        database: Database,
        host: Station,
        costs: Costs,
        work: Work,
        options: ServerOptions,
        queues: Collection[int],
        forward: Callable[["Server"], None],
        may_forward: Callable[["Server"], bool],
    ) -> None:
        self.queues = queues
        self.is_dead = False
        self._clock, self._database, self._costs = clock, database, costs
        self._work, self._options = work, options
        self._forward, self._may_forward = forward, may_forward
        self._python = Interpreter(clock, host)
        self._pace = Pace(options.workers)
        self._backlog: deque[Row] = deque()
        self._arrived: deque[Row] = deque()
        self._unfinished = 0
        self._refill_at = options.workers - 1
        self._ready = True
        self._came_back_empty = False
        self._gather_until = self._next_look = 0.0
        self._alarm, self._outcomes = Bell(clock), Bell(clock)
        self._idle: list[Bell] = []

    @property
    def is_free(self) -> bool:
        """Whether it could start a task now."""
        return not self.is_dead and self._unfinished < self._options.workers

    def start(self, delay: float) -> None:
        """Begin in so many seconds; servers are not started all at once."""
        self._next_look = self._clock.now + delay
        self._clock.start(self._beat(delay))
        self._clock.start(self._dispatch(delay))
        self._clock.start(self._record())
        for _ in range(self._options.workers):
            self._clock.start(self._run_tasks(Bell(self._clock)))

    def hint(self) -> None:
        """Look for work now."""
        self._ready = True
        self._alarm.ring()

    def _beat(self, delay: float) -> Course:
        self._database.leases[self] = self._clock.now + self._options.lease
        yield delay
        while not self.is_dead:
            yield from self._database.renew(self, self._options.lease)
            yield self._options.lease / BEATS_PER_LEASE

    def _dispatch(self, delay: float) -> Course:
        yield delay
        while not self.is_dead:
            if self._ready and self._gather_until > self._clock.now:
                yield self._gather_until - self._clock.now
            yield from self._claim()
            if self._clock.now >= self._next_look:
                yield from self._look()
            self._clock.after(max(self._next_look - self._clock.now, 0.0), self._alarm.ring)
            yield self._alarm

    def _claim(self) -> Course:
        while self._ready and not self.is_dead and self._room() > 0:
            self._ready = False
            room = self._room()
            rows, began = list[Row](), self._clock.now
            yield from self._python.compute(self._costs.call)
            yield from self._database.claim(self, self.queues, room, rows)
            self._pace.claimed(len(rows), self._clock.now - began)
            self._refill_at = self._pace.refill_at(self._most_wait)
            self._came_back_empty = not rows
            self._hand_on(rows)
            if len(rows) < room:
                self._gather_until = self._clock.now + GATHERING
                self._next_look = min(self._next_look, self._clock.now + LOOK_AFTER)
                return
            self._ready = True
            self._forward(self)
            if self._unfinished > self._refill_at:
                return

    @property
    def _most_wait(self) -> float:
        return self._pace.most_wait(sibling_has_room=self._may_forward(self))

    def _room(self) -> int:
        return self._pace.room(self._unfinished, self._most_wait)

    def _hand_on(self, rows: list[Row]) -> None:
        self._unfinished += len(rows)
        self._backlog.extend(rows)
        for _ in rows[: len(self._idle)]:
            self._idle.pop().ring()

    def _look(self) -> Course:
        self._next_look = self._clock.now + self._options.poll_interval
        yield from self._python.compute(self._costs.call)
        yield from self._database.look()
        for dead in self._database.expired():
            yield from self._database.rescue(dead)
            self.hint()
        if self._database.has_ready(self.queues) and not self._came_back_empty:
            self.hint()
        self._came_back_empty = False

    def _run_tasks(self, bell: Bell) -> Course:
        while not self.is_dead:
            while not self._backlog:
                self._idle.append(bell)
                yield bell
            number = min(len(self._backlog), self._in_a_turn)
            rows = [self._backlog.popleft() for _ in range(number)]
            began = self._clock.now
            for row in rows:
                row.begin(began)
            if self._work.waiting:
                yield self._work.waiting
            yield from self._python.compute(number * (self._work.computing + self._costs.task))
            self._end(rows, (self._clock.now - began) / number)

    @property
    def _in_a_turn(self) -> int:
        """How many tasks a thread runs before it lets another one have Python's lock."""
        if self._work.waiting:
            return 1
        return max(int(TURN / (self._work.computing + self._costs.task)), 1)

    def _end(self, rows: list[Row], seconds: float) -> None:
        if self.is_dead:
            return
        self._arrived.extend(rows)
        self._outcomes.ring()
        self._unfinished -= len(rows)
        for _ in rows:
            self._pace.record(seconds)
        if self._unfinished <= self._refill_at and self._ready:
            self._alarm.ring()

    def _record(self) -> Course:
        while not self.is_dead:
            while not self._arrived:
                yield self._outcomes
            number = min(len(self._arrived), MOST_TOGETHER)
            rows = [self._arrived.popleft() for _ in range(number)]
            yield from self._python.compute(self._costs.call)
            yield from self._database.settle(self, rows)
