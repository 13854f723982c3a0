"""What the log tells, in terms that can be judged: runs, deaths of servers, faults."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from tests.faults.chaos.log import Line
from tests.faults.chaos.tables import SUCCESSFUL, Tables

_DEAD = re.compile(r"The server .* \(process (\d+)\) is dead")
_UNKNOWN = re.compile(rf"{_DEAD.pattern}: .* nobody knows which")
FLUSHED_IN = 1.0  # seconds: three times wal_writer_delay, and from the claim to the run
MOMENT = 0.25  # seconds within which a run's end may not have been noted any more


@dataclass(frozen=True)
class Run:
    """A run of a task: its claim, the counters that the claim came with, and how it ended.

    `process` is where it ran, `server` the server that this is, or is a child of. `outcome` and
    `times` are None if it never ended, and what it was about to commit if that is all that is
    known.
    """

    task: int
    owner: int
    claim: int
    tries: int
    crashes: int
    process: int
    server: int
    began: float
    ended: float | None = None
    outcome: str | None = None
    times: tuple[str, str] | None = None

    @property
    def fence(self) -> tuple[int, int, int]:
        """What a settle has to know: the task, its owner and the number of its claim."""
        return self.task, self.owner, self.claim

    def was_running(self, at: float) -> bool:
        """Tell whether it was being run at this time, as far as anybody can know."""
        return self.began <= at and (self.ended is None or self.ended >= at - MOMENT)


@dataclass(frozen=True)
class Server:
    """A process of a server: when its site was set up, and when and why it was gone."""

    pid: int
    slot: int
    port: int
    launched: float
    up: float | None = None
    gone: float | None = None
    cause: str = ""
    code: int | None = None
    stop_asked: float | None = None


_NOT_KNOWN = Server(pid=0, slot=-1, port=0, launched=0.0, gone=0.0, cause="not known")


@dataclass(frozen=True)
class Fault:
    """A fault as it happened, to which server (None: to the database), and until when.

    A fault of links is not one of a server, but of all servers in a slot.
    """

    kind: str
    server: int | None
    began: float
    over: float
    slot: int | None = None


@dataclass(frozen=True)
class Evidence:
    """All that is known of a run of chaos at its end; the logs are those of the servers."""

    vendor: str
    lines: list[Line]
    tables: Tables
    logs: dict[str, str] = field(default_factory=dict)

    def named(self, what: str) -> list[Line]:
        """Return the lines of one kind."""
        return self._by_name.get(what, [])

    @cached_property
    def _by_name(self) -> dict[str, list[Line]]:
        named = defaultdict(list)
        for line in self.lines:
            named[line["what"]].append(line)
        return named

    @cached_property
    def pushed(self) -> dict[int, str]:
        """The acknowledged tasks: id -> tag."""
        return {id: tag for line in self.named("pushed") for tag, id in line["tags"].items()}

    @cached_property
    def doubtful(self) -> set[str]:
        """The tags of what the database failed to acknowledge, at least once."""
        return {tag for line in self.named("doubtful") for tag in line["tags"]}

    @cached_property
    def tags(self) -> dict[int, str]:
        """The tag of each task that was acknowledged, or at least run."""
        return {line["task"]: line["tag"] for line in self.named("ran")} | self.pushed

    @cached_property
    def errors(self) -> dict[int, str | None]:
        """The error of each failed task."""
        return {stored.task: stored.error for stored in self.tables.failures}

    def kind_of(self, task: int) -> str:
        """Return what kind of task it is: its tag begins with that."""
        return self.tags.get(task, "unknown").partition("-")[0]

    @cached_property
    def counters(self) -> set[int]:
        """The tasks that count and have succeeded."""
        return {
            row.id
            for row in self.tables.tasks
            if row.state == SUCCESSFUL and self.kind_of(row.id) == "count"
        }

    @cached_property
    def servers(self) -> dict[int, Server]:
        """The processes of servers, by process id."""
        up = {line["pid"]: line["at"] for line in self.named("up")}
        gone = {line["server"]: line for line in self.named("gone")}
        asked = {line["server"]: line["at"] for line in self.named("stop asked")}
        return {
            line["server"]: Server(
                line["server"],
                line["slot"],
                line["port"],
                line["at"],
                up.get(line["server"]),
                gone.get(line["server"], {}).get("at"),
                gone.get(line["server"], {}).get("cause", ""),
                gone.get(line["server"], {}).get("code"),
                asked.get(line["server"]),
            )
            for line in self.named("launched")
        }

    @cached_property
    def deaths(self) -> list[Server]:
        """The servers that did not end as asked, in the order of their deaths."""
        dead = [server for server in self.servers.values() if server.cause in ("kill", "move", "")]
        return sorted(
            (server for server in dead if server.gone is not None),
            key=lambda server: server.gone or 0.0,
        )

    @cached_property
    def faults(self) -> list[Fault]:
        """The faults that happened."""
        return [
            Fault(line["kind"], line["server"], line["at"], self._over(line), line.get("slot"))
            for line in self.named("fault")
        ]

    def _over(self, fault: Line) -> float:
        began = float(fault["at"])
        ends = [float(line["at"]) for line in self.named("over") if _hit(line) == _hit(fault)]
        return min((at for at in ends if at >= began), default=began)

    @cached_property
    def runs(self) -> list[Run]:
        """All runs, in the order of their beginnings."""
        ends = {_key(line): line for line in self.named("ended")}
        commits = {_key(line): line for line in self.named("commits")}
        parents = {line["pid"]: line["parent"] for line in self.named("up")}
        runs = []
        for line in self.named("begun"):
            task, owner, claim, process = key = _key(line)
            end = ends.get(key, {})
            is_known = end.get("outcome") not in (None, "Undone")
            told = end if is_known else commits.get(key, end)
            runs.append(
                Run(
                    task,
                    owner,
                    claim,
                    tries=line["tries"],
                    crashes=line["crashes"],
                    process=process,
                    server=process if process in self.servers else parents.get(process, 0),
                    began=line["at"],
                    ended=end.get("at"),
                    outcome=told.get("outcome"),
                    times=tuple(told["times"]) if told else None,
                )
            )
        return sorted(runs, key=lambda run: run.began)

    @cached_property
    def runs_of(self) -> dict[int, list[Run]]:
        """The runs of each task."""
        return _by_task(self.runs)

    @cached_property
    def taken_for_dead(self) -> set[int]:
        """The servers whose tasks others rescued while they lived.

        Each time others say so, and once more of a server that did die.
        """
        said = Counter(int(pid) for text in self.logs.values() for pid in _DEAD.findall(text))
        really = {server.pid for server in self.deaths}
        return {pid for pid, times in said.items() if times > (pid in really)}

    @cached_property
    def judged_unseen(self) -> set[int]:
        """The servers, dead or not, that were rescued where nobody knew what they were running.

        The first time that is charged to nobody, and then to whom was so rescued before.
        """
        return {int(pid) for text in self.logs.values() for pid in _UNKNOWN.findall(text)}

    def server_of(self, run: Run) -> Server:
        """Return the server of a run; that of an orphan is not known, and gone."""
        return self.servers.get(run.server, _NOT_KNOWN)

    def may_be_forgotten(self, run: Run) -> bool:
        """Tell whether the claim of a run may be lost with a crash of PostgreSQL.

        A claim does not wait for the disk there.
        """
        return self.vendor == "postgresql" and any(
            fault.kind == "outage" and fault.began - FLUSHED_IN <= run.began <= fault.over
            for fault in self.faults
        )

    def may_be_charged(self, run: Run) -> bool:
        """Tell whether a crash may be charged for this run: a process died of it, or with it.

        From another host nobody can tell that from a server that was only cut off.
        """
        server = self.server_of(run)
        died = server in self.deaths and run.was_running(server.gone or 0.0)
        lost_child = run.process != run.server and run.ended is None
        was_cut_off = run.server in self.judged_unseen and run != self.runs_of[run.task][-1]
        return died or lost_child or was_cut_off


def _hit(line: Line) -> tuple[str, int | None, int | None]:
    """Return what a line is about that tells of a fault or its end."""
    return line["kind"], line["server"], line.get("slot")


def _key(line: Line) -> tuple[int, int, int, int]:
    """Return which run a line is about: its task, owner, claim and process."""
    return line["task"], line["owner"], line["claim"], line["pid"]


def _by_task(runs: Iterable[Run]) -> dict[int, list[Run]]:
    by_task = defaultdict(list)
    for run in runs:
        by_task[run.task].append(run)
    return dict(by_task)
