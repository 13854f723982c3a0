"""The independent judge: it knows the promises, the log and the tables, not leek's code."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from signal import SIGTERM

from tests.faults.chaos import recovery, schedule
from tests.faults.chaos.evidence import Evidence, Run, Server
from tests.faults.chaos.tables import FAILED, SUCCESSFUL, Row, Stored, instant

PUSH_LIMIT = 5.0  # seconds, on a busy machine
STOP_LIMIT = 10.0  # seconds from SIGTERM to the end of a server, on a busy machine
EXPECTED_ERRORS = re.compile(
    r"The database fails: |The lease of this server was lost|the lease was lost while it ran"
    r"|failed for good|Some outcomes could not be stored in time"
)
_RECORD = re.compile(r"^\d{4}-\S+ \S+ (?P<level>[A-Z]+) ", re.MULTILINE)
_PYTHON = re.compile(r"^(Exception in thread|Exception ignored|Fatal Python error).*", re.MULTILINE)
_WORKER_LOST = "leek.exceptions.WorkerLost"


@dataclass(frozen=True)
class Violation:
    """A promise that was broken."""

    promise: str
    details: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.details}"


Rule = Callable[[Evidence], Iterator[str]]
RULES: dict[str, Rule] = {}


def rule(promise: str) -> Callable[[Rule], Rule]:
    """Add a function that yields the details of each violation of a promise."""

    def add(function: Rule) -> Rule:
        RULES[promise] = function
        return function

    return add


def judge(evidence: Evidence) -> list[Violation]:
    """Return all violations of all promises."""
    return [
        Violation(promise, details) for promise, find in RULES.items() for details in find(evidence)
    ]


# Pushes


@rule("an acknowledged push was lost")
def lost(evidence: Evidence) -> Iterator[str]:
    """Each acknowledged task has a row; what became of it is for others to judge."""
    stored = {row.id for row in evidence.tables.tasks}
    for task, tag in evidence.pushed.items():
        if task not in stored:
            yield f"task {task} {tag} has no row"


@rule("a push that was rolled back exists")
def ghosts(evidence: Evidence) -> Iterator[str]:
    """What was rolled back never ran, and no row belongs to it."""
    rolled_back = {tag for line in evidence.named("rolled back") for tag in line["tags"]}
    for line in evidence.named("ran"):
        if line["tag"] in rolled_back:
            yield f"task {line['task']} {line['tag']} ran"
    doubtful = {tag for line in evidence.named("doubtful") for tag in line["tags"]}
    for row in evidence.tables.tasks:
        if row.id not in evidence.pushed and evidence.tags.get(row.id) not in doubtful:
            yield f"task {row.id} is there, and nobody pushed it"


@rule("a push failed without reason")
def refused(evidence: Evidence) -> Iterator[str]:
    """Where the database was well, a push went well. On SQLite whoever is frozen may lock it."""
    trouble = [fault for fault in evidence.faults if fault.kind in ("outage", "connections")]
    for line in evidence.named("doubtful") if evidence.vendor != "sqlite" else []:
        if not any(
            fault.began <= line["at"] and line["asked_at"] <= fault.over + 5 for fault in trouble
        ):
            yield f"{', '.join(line['tags'])}: {line['error']}"


@rule("a push waited")
def waits(evidence: Evidence) -> Iterator[str]:
    """Where the database was well, no push waited for long, wherever its hint went."""
    outages = [fault for fault in evidence.faults if fault.kind == "outage"]
    for line in evidence.named("pushed") if evidence.vendor != "sqlite" else []:
        seconds = line["at"] - line["asked_at"]
        if seconds > PUSH_LIMIT and not any(
            fault.began <= line["at"] and line["asked_at"] <= fault.over for fault in outages
        ):
            yield f"{', '.join(line['tags'])}: {seconds:.1f} s"


# Runs and outcomes


@rule("a task is not finished at the end")
def unfinished(evidence: Evidence) -> Iterator[str]:
    """Everything came to an end."""
    for row in evidence.tables.tasks:
        if row.state not in (SUCCESSFUL, FAILED):
            yield f"task {row.id} {evidence.tags.get(row.id)} is in state {row.state}"


@rule("a claim was run twice")
def twice(evidence: Evidence) -> Iterator[str]:
    """There is one run at most under one claim."""
    for fence, count in Counter(run.fence for run in evidence.runs).items():
        if count > 1:
            yield "task {} was run {} times by owner {} under claim {}".format(
                fence[0], count, *fence[1:]
            )


@rule("a task does not have just its one outcome")
def outcomes(evidence: Evidence) -> Iterator[str]:
    """A finished task has one outcome, which fits its state; an unfinished one has none."""
    successes = Counter(stored.task for stored in evidence.tables.successes)
    failures = Counter(stored.task for stored in evidence.tables.failures)
    states = {row.id: row.state for row in evidence.tables.tasks}
    for task in {*states, *successes, *failures}:
        has = successes[task], failures[task]
        if has != {SUCCESSFUL: (1, 0), FAILED: (0, 1)}.get(states.get(task, -1), (0, 0)):
            yield f"task {task} in state {states.get(task)} has {has} successes and failures"


@rule("a late write was accepted")
def late(evidence: Evidence) -> Iterator[str]:
    """What is stored is the outcome of the run under the last claim, which did end so."""
    rows = {row.id: row for row in evidence.tables.tasks}
    for stored in [*evidence.tables.successes, *evidence.tables.failures]:
        row = rows.get(stored.task)
        if row is None or stored.error == _WORKER_LOST:
            continue
        runs = evidence.runs_of.get(row.id, [])
        last = [run for run in runs if run.fence == (row.id, row.owner, row.claim)]
        if not any(_is_outcome_of(stored, run) for run in last):
            yield (
                f"task {row.id} {evidence.tags.get(row.id)} belongs to owner {row.owner}, claim"
                f" {row.claim}, but the stored outcome is {_author(stored, evidence)}"
            )


def _is_outcome_of(stored: Stored, run: Run) -> bool:
    expected = "Success" if stored.error is None else "Failure"
    return (
        run.outcome == expected
        and run.times is not None
        and tuple(map(instant, run.times)) == (stored.started_at, stored.finished_at)
    )


def _author(stored: Stored, evidence: Evidence) -> str:
    for run in evidence.runs_of.get(stored.task, []):
        if _is_outcome_of(stored, run):
            return f"that of owner {run.owner}, claim {run.claim}"
    return "of no run in the log"


# Counters


@rule("a task has been tried another number of times than it should")
def tries(evidence: Evidence) -> Iterator[str]:
    """Each kind of task has its tries, and no try is counted without the run before it."""
    for row in evidence.tables.tasks:
        runs = evidence.runs_of.get(row.id, [])
        wanted = _wanted_tries(row, evidence, runs)
        if row.state in (SUCCESSFUL, FAILED) and row.tries != wanted:
            yield f"task {row.id} {evidence.tags.get(row.id)}: {row.tries} tries, not {wanted}"
        failed_at = {run.tries for run in runs if run.outcome == "Retry"}
        for run in runs:
            if run.tries and run.tries - 1 not in failed_at:
                yield f"task {row.id}: no run was the failed try {run.tries}"


def _wanted_tries(row: Row, evidence: Evidence, runs: list[Run]) -> int:
    """Return the number of tries that ended, and were accepted."""
    if evidence.errors.get(row.id) == _WORKER_LOST:
        return max((run.tries for run in runs), default=0)
    match evidence.kind_of(row.id):
        case "failing":
            return schedule.MAX_RETRIES
        case "flaky":
            return 1 + len({run.tries for run in runs if run.outcome == "Retry"})
        case _:
            return 1


@rule("a task ended in another way than it should")
def endings(evidence: Evidence) -> Iterator[str]:
    """Each kind of task has its ending, unless it had bad luck."""
    for row in evidence.tables.tasks:
        error = evidence.errors.get(row.id)
        kind = evidence.kind_of(row.id)
        wanted = {"failing": "ValueError", "killer": _WORKER_LOST}.get(kind)
        if row.state not in (SUCCESSFUL, FAILED) or error == wanted:
            continue
        if error != _WORKER_LOST or not had_bad_luck(row, evidence):
            yield f"task {row.id} {evidence.tags.get(row.id)} ended with {error}, not {wanted}"


def had_bad_luck(row: Row, evidence: Evidence) -> bool:
    """Tell whether faults hit an innocent so often that nobody can tell it from a killer.

    A killer beside it may be one of the crashes: after that it runs alone.
    """
    cut = [run for run in evidence.runs_of.get(row.id, []) if evidence.may_be_charged(run)]
    by_killers = [run for run in cut if evidence.servers[run.server].cause == ""]
    return len(cut) - len(by_killers) + bool(by_killers) >= schedule.MAX_CRASHES


@rule("a killer did not run MAX_CRASHES times")
def killers(evidence: Evidence) -> Iterator[str]:
    """A killer runs MAX_CRASHES times.

    Not counted are runs on a server that others took for dead: it may begin one that was given to
    them in the same moment, and nobody is charged with that. A run is missing if a fault killed the
    server between the note of what it is about to run and the log's line, so there are no more of
    those than deaths of other causes.
    """
    deaths = len([server for server in evidence.deaths if server.cause]) + len(
        [fault for fault in evidence.faults if fault.kind in ("freeze", "outage", "clock")]
    )
    for row in evidence.tables.tasks:
        if evidence.kind_of(row.id) != "killer" or row.state not in (SUCCESSFUL, FAILED):
            continue
        runs = evidence.runs_of.get(row.id, [])
        counted = [run for run in runs if run.server not in evidence.taken_for_dead]
        missing = schedule.MAX_CRASHES - len(runs)
        if (
            len(counted) > schedule.MAX_CRASHES
            or missing > deaths
            or row.crashes != schedule.MAX_CRASHES
        ):
            tag = evidence.tags[row.id]
            yield f"task {row.id} {tag} ran {len(runs)} times, {row.crashes} crashes charged"


@rule("a crash was charged to a task that was not being run")
def blame(evidence: Evidence) -> Iterator[str]:
    """No more crashes are charged than runs were cut short.

    The log's line comes a moment after the note that leek reads, so each death may charge one task
    that had not begun for the log; these are counted over all tasks.
    """
    excess = {}
    for row in evidence.tables.tasks:
        runs = evidence.runs_of.get(row.id, [])
        cut = sum(map(evidence.may_be_charged, runs))
        if row.crashes > cut:
            excess[row.id] = row.crashes - cut
    allowed = 1 + len(evidence.deaths) // 4
    if sum(excess.values()) > allowed:
        yield f"{excess} (task: crashes too many), after {len(evidence.deaths)} deaths"


# Servers


@rule("recovery took too long")
def slow_recoveries(evidence: Evidence) -> Iterator[str]:
    """What a dead server was running starts again in time, unless another fault came in between."""
    for one in recovery.recoveries(evidence):
        if one.is_undisturbed and one.seconds > recovery.LIMITS[one.way]:
            yield f"{one.seconds:.1f} s after the death of process {one.server} ({one.way})"


@rule("a server ended by itself")
def ends(evidence: Evidence) -> Iterator[str]:
    """Nothing ends a server but a stop, a fault, or a killer that it was running."""
    for server in evidence.deaths:
        if server.cause == "" and not _ran_killer(server, evidence):
            yield f"process {server.pid} with {server.code}"


@rule("a server did not stop as asked")
def stops(evidence: Evidence) -> Iterator[str]:
    """After SIGTERM a server ends with 0, by the deadline.

    One that has not come to run anything may end by the signal itself, and a killer may be faster.
    """
    for server in evidence.servers.values():
        if server.cause != "terminate" or server.stop_asked is None or server.gone is None:
            continue
        seconds = server.gone - server.stop_asked
        has_begun = any(run.server == server.pid for run in evidence.runs)
        is_well = (
            server.code == 0
            or _ran_killer(server, evidence)
            or (server.code == -SIGTERM and not has_begun)
        )
        if not is_well or seconds > STOP_LIMIT:
            yield f"process {server.pid} ended with {server.code} after {seconds:.1f} s"


def _ran_killer(server: Server, evidence: Evidence) -> bool:
    return any(
        run.server == server.pid and run.ended is None and evidence.kind_of(run.task) == "killer"
        for run in evidence.runs
    )


@rule("a run outlived its server")
def orphans(evidence: Evidence) -> Iterator[str]:
    """Nothing goes on in children of a server that is gone."""
    for run in evidence.runs:
        gone = evidence.servers[run.server].gone if run.server in evidence.servers else None
        if gone is not None and max(run.began, run.ended or 0.0) > gone + 1.0:
            yield f"task {run.task} of process {run.server}"


@rule("a server logged an error that no fault explains")
def errors(evidence: Evidence) -> Iterator[str]:
    """What servers say of lost leases, outages and failed tasks is expected, nothing else is."""
    for name, text in evidence.logs.items():
        for record in _records(text):
            head = record.partition("\n")[0]
            level = _RECORD.match(record)
            if (
                level
                and level["level"] in ("ERROR", "CRITICAL")
                and not EXPECTED_ERRORS.search(head)
            ):
                yield f"{name}: {record.strip()[:2000]}"
        for found in _PYTHON.finditer(text):
            yield f"{name}: {found[0]}"


def _records(text: str) -> list[str]:
    starts = [match.start() for match in _RECORD.finditer(text)]
    return [text[start:end] for start, end in pairwise([*starts, len(text)])]
