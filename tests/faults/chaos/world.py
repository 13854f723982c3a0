"""One run of chaos: a database, servers and pushers, and what happens to them."""

import heapq
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from tests.faults.chaos import clocks, log, schedule, tables
from tests.faults.chaos.apps import BREAK, COMMAND
from tests.faults.chaos.evidence import Evidence
from tests.faults.chaos.faults import Faults, LockedFile
from tests.faults.chaos.holes import Holes
from tests.faults.chaos.hosts import Hosts, some_hosts
from tests.faults.chaos.servers import make_slots
from tests.faults.chaos.trap import Trap
from tests.faults.databases import Database, connected, create
from tests.support import ROOT, wait_until

Answer = TypeVar("Answer")

TICK = 0.02  # seconds between two looks at what is due and who has ended
QUIET_LIMIT = 300.0  # seconds after the last fault in which everything must be finished
PUSH_FACTOR = 5  # how much longer than planned the pushers may take, where a machine is busy
END_LIMIT = 20.0  # seconds for all servers to stop


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    `broken` names what the servers are to do wrong. Besides all else `count` tasks count.
    `with_hosts` gives each server a host of its own, and the links between these their faults.
    """

    vendor: str
    seed: int
    seconds: float
    broken: str = ""
    count: int = 0
    with_hosts: bool = False

    @property
    def faults(self) -> list[schedule.Fault]:
        """What goes wrong, and when."""
        if self.broken:
            return []
        with_clocks = clocks.library() is not None
        return schedule.faults(
            self.seed,
            self.seconds,
            self.vendor,
            with_clocks=with_clocks,
            with_hosts=self.with_hosts,
        )

    @property
    def command(self) -> str:
        """The command that repeats it."""
        command = f"python -m tests.faults.chaos --database {self.vendor}"
        command += " --hosts" if self.with_hosts else ""
        if self.broken:
            return f"{command} --break {self.broken}"
        counts = f" --count {self.count}" if self.count else ""
        return f"{command} --seed {self.seed} --minutes {self.seconds / 60:g}{counts}"


def run(plan: Plan, folder: Path) -> Evidence:
    """Run a plan, and return what is known in the end; nothing that was started is left."""
    with some_hosts() if plan.with_hosts else nullcontext() as hosts:
        host = hosts.database if hosts else None
        database = create(plan.vendor, folder / "database", host)
        try:
            database.start()
            with World(plan, database, folder, hosts) as world:
                return world.run()
        finally:
            database.remove()


class World:
    """The processes of one run, all in one folder; they end with it, whatever happens."""

    def __init__(self, plan: Plan, database: Database, folder: Path, hosts: Hosts | None) -> None:
        self._plan = plan
        self._hosts = hosts
        self._folder = folder
        self._database = database
        self._ends = ExitStack()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._log = folder / "log"
        os.environ[log.PATH] = str(self._log)
        (folder / "tmp").mkdir()
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LEEK_")},
            "DATABASE_URL": database.url,
            "DJANGO_SETTINGS_MODULE": "tests.faults.chaos.settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(folder / "tmp"),
            COMMAND: str(os.getpid()),
            BREAK: plan.broken,
        }
        self._slots = make_slots(self._environment, folder, hosts, plan.seed)
        victim = LockedFile(database) if plan.vendor == "sqlite" else database
        self._faults = Faults(self._slots, victim, hosts, self._later)

    def __enter__(self) -> "World":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ends.close()

    def run(self) -> Evidence:
        """Let it all happen, and return what is known in the end."""
        self._migrate()
        for slot in self._slots:
            self._ends.callback(slot.destroy)
        wait_until(self._all_ready, "the servers")
        with self._hosts.pushers.entered() if self._hosts else nullcontext():
            holes = Holes()
        self._ends.callback(holes.close)
        pushers = [self._start_pusher(number, holes) for number in range(schedule.PUSHERS)]
        self._let_suffer(pushers)
        self._faults.undo()
        log.write("quiet")
        self._until(lambda: self._unfinished() == 0, QUIET_LIMIT)
        for slot in self._slots:
            slot.close()
        self._until(lambda: all(slot.is_empty for slot in self._slots), END_LIMIT)
        for slot in self._slots:
            slot.destroy()
        return self._collect()

    def _migrate(self) -> None:
        subprocess.run(
            [sys.executable, "-m", "django", "migrate", "-v0", "--run-syncdb"],
            env=self._environment,
            cwd=ROOT,
            check=True,
        )
        self._asked(tables.prepare)

    def _let_suffer(self, pushers: "list[subprocess.Popen[bytes]]") -> None:
        """Let all faults happen until the last is over, and all pushers have ended."""
        wait_until(partial(self._are_up, {pusher.pid for pusher in pushers}), "the pushers")
        for fault in self._plan.faults:
            self._later(fault.at, partial(self._faults.strike, fault))
        if self._plan.broken:
            trap = Trap(self._slots, self._log, self._hosts, self._later, self._is_locked)
            self._later(0.0, trap.look)
        limit = PUSH_FACTOR * self._plan.seconds + QUIET_LIMIT
        self._until(lambda: not self._agenda and all(p.poll() is not None for p in pushers), limit)
        if any(pusher.poll() != 0 for pusher in pushers):
            raise RuntimeError(f"a pusher failed: {(self._folder / 'pushers.log').read_text()}")

    def _are_up(self, pids: set[int]) -> bool:
        self._watch()
        return pids <= {line["pid"] for line in log.read(self._log) if line["what"] == "up"}

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        entry = time.monotonic() + seconds, next(self._numbers), action
        heapq.heappush(self._agenda, entry)

    def _until(self, condition: Callable[[], bool], limit: float) -> None:
        """Do what is due, and watch over the servers, until a condition holds or time is over."""
        deadline = time.monotonic() + limit
        while not condition() and time.monotonic() < deadline:
            while self._agenda and self._agenda[0][0] <= time.monotonic():
                heapq.heappop(self._agenda)[2]()
            self._watch()
            time.sleep(TICK)

    def _watch(self) -> None:
        for slot in self._slots:
            slot.watch()

    def _all_ready(self) -> bool:
        self._watch()
        return all("is ready at" in slot.log.read_text() for slot in self._slots)

    def _start_pusher(self, number: int, holes: Holes) -> "subprocess.Popen[bytes]":
        slot = self._slots[number % len(self._slots)]
        places = json.dumps(holes.places((slot.address, slot.port)))
        plan = self._plan
        told = plan.broken or plan.seed, number, plan.seconds, plan.count, places
        prefix = self._hosts.pushers.prefix if self._hosts else ()
        with (self._folder / "pushers.log").open("a") as stream:
            pusher = subprocess.Popen(
                [*prefix, sys.executable, "-m", "tests.faults.chaos.pusher", *map(str, told)],
                env=self._environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        self._ends.callback(pusher.wait)
        self._ends.callback(pusher.kill)
        return pusher

    def _is_locked(self) -> bool:
        return self._asked(tables.is_locked)

    def _unfinished(self) -> int:
        return self._asked(tables.count_unfinished)

    def _collect(self) -> Evidence:
        return Evidence(
            self._plan.vendor,
            log.read(self._log),
            self._asked(tables.read),
            {slot.log.name: slot.log.read_text() for slot in self._slots},
        )

    def _asked(self, question: Callable[[Any], Answer]) -> Answer:
        """Ask the database, by a connection of its own."""
        with connected(self._database.url) as connection:
            return question(connection)
