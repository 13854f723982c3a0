"""A run: servers at one database, and the tasks that arrive."""

import random
from collections import Counter
from statistics import fmean, quantiles

from tests.benchmarks.simulation.clock import Clock, Course
from tests.benchmarks.simulation.database import Database, Row
from tests.benchmarks.simulation.plan import Found, Plan
from tests.benchmarks.simulation.server import Server
from tests.benchmarks.simulation.stations import Station

HOP = 0.0005  # seconds from a server to its sibling
SETTLING = 2.0  # seconds until the first push: by then the servers are idle


def simulate(plan: Plan) -> Found:
    """Return what came of a plan; the same each time."""
    return Fleet(plan).run()


class Fleet:
    """All servers, and who pushes."""

    def __init__(self, plan: Plan) -> None:
        self.rows: list[Row] = []
        self._plan = plan
        self._clock = Clock()
        self._chance = random.Random(plan.seed)
        host = Station(self._clock, plan.processors)
        self.database = Database(self._clock, plan.costs, host)
        self.servers = [
            self._server(number, host if plan.one_host else Station(self._clock, 1))
            for number in range(plan.servers)
        ]
        self._before = self._counted()
        self._killed_at = 0.0
        self._pushing = 0

    def _server(self, number: int, host: Station) -> Server:
        plan, queues = self._plan, [number % self._plan.groups]
        return Server(
            self._clock, self.database, host, plan.costs, plan.work, plan.options, queues,
            self._forward, self._may_forward,
        )  # fmt: skip

    def run(self) -> Found:
        """Let it all happen, until the time is over, or all of a burst is stored."""
        for server in self.servers:
            server.start(self._chance.uniform(0.0, 1.0))
        self._clock.run(SETTLING)
        self._before = self._counted()
        if self._plan.burst:
            self._clock.start(self._push_burst())
        if self._plan.rate:
            self._clock.start(self._push_at_rate())
        self._clock.after(self._plan.seconds / 2, self._kill)
        self._clock.run(SETTLING + self._plan.seconds, self._is_done)
        return self._found()

    def _counted(self) -> tuple[Counter[str], float, int]:
        """Return what the database has done so far."""
        database = self.database
        return Counter(database.used), database.log.busy, database.commits.total()

    def _push_burst(self) -> Course:
        rows = [self._row(number) for number in range(self._plan.burst)]
        yield from self.database.push(rows)
        self._before = self._counted()
        self._hint()

    def _push_at_rate(self) -> Course:
        number = 0
        while True:
            yield self._chance.expovariate(self._plan.rate)
            self._clock.start(self._push_one(self._row(number)))
            number += 1

    def _push_one(self, row: Row) -> Course:
        self._pushing += 1
        yield from self.database.push([row])
        self._pushing -= 1
        self._hint(row.queue)

    def _row(self, number: int) -> Row:
        row = Row(number % self._plan.groups, self._clock.now)
        self.rows.append(row)
        return row

    def _hint(self, queue: int | None = None) -> None:
        """Tell the server that the settings name; where it cannot start the task, a sibling."""
        first = self.servers[0]
        first.hint()
        if not first.is_free or queue not in (None, *first.queues):
            self._forward(first)

    def _forward(self, server: Server) -> None:
        """Tell one of the siblings with room that there is more than a server can start."""
        with_room = [
            sibling
            for sibling in self.servers
            if sibling is not server and sibling.is_free and self.database.has_ready(sibling.queues)
        ]
        if with_room:
            self._clock.after(HOP, self._chance.choice(with_room).hint)

    def _may_forward(self, server: Server) -> bool:
        """Whether a sibling of the same queues has room."""
        return any(
            sibling.is_free and sibling is not server and sibling.queues == server.queues
            for sibling in self.servers
        )

    def _kill(self) -> None:
        self._killed_at = self._clock.now
        for server in self.servers[-self._plan.killed :] if self._plan.killed else []:
            server.is_dead = True

    def _is_done(self) -> bool:
        """Whether nothing comes any more, and all that came is stored."""
        is_all_pushed = not self._plan.rate and len(self.rows) == self._plan.burst > 0
        return is_all_pushed and len(self.database.stored) == len(self.rows)

    def _found(self) -> Found:
        now, stored, database = self._clock.now, self.database.stored, self.database
        seconds = max(now - self._began(), 1e-9)
        waits = [row.waited for row in stored]
        stays = [(row.stored_at or now) - row.asked_at for row in self.rows]
        cuts = quantiles(waits, n=100) if len(waits) > 1 else [0.0] * 99
        _, log, commits = self._before
        return Found(
            pushed=len(self.rows),
            pushing=self._pushing,
            stored=len(stored),
            waiting=database.waiting,
            claimed=database.claimed,
            seconds=seconds,
            throughput=len(stored) / seconds,
            wait_p50=cuts[49],
            wait_p99=cuts[98],
            stay=fmean(stays) if stays else 0.0,
            unfinished=sum(stays) / (now - SETTLING),
            used=self._used(seconds),
            log=(database.log.busy - log) / database.log.places / seconds,
            commits=(database.commits.total() - commits) / max(len(stored), 1),
            again_after=self._again_after(),
        )

    def _began(self) -> float:
        """Return when the first task of a burst started, or else when pushes began."""
        starts = [row.started_at for row in self.database.stored if row.started_at is not None]
        return min(starts, default=SETTLING) if self._plan.burst else SETTLING

    def _used(self, seconds: float) -> dict[str, float]:
        used, _, _ = self._before
        return {
            what: (all_in - used[what]) / self._plan.processors / seconds
            for what, all_in in self.database.used.items()
        }

    def _again_after(self) -> list[float]:
        return [
            row.started_at - self._killed_at
            for row in self.database.stored
            if row.runs > 1 and row.started_at is not None
        ]
