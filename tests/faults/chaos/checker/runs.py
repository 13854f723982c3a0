"""What is promised of runs, of their outcomes, and of the counters."""

from collections import Counter
from collections.abc import Iterator

from tests.faults.chaos import schedule
from tests.faults.chaos.checker.rules import rule
from tests.faults.chaos.evidence import Evidence, Run
from tests.faults.chaos.servers import WORKERS
from tests.faults.chaos.tables import FAILED, SUCCESSFUL, Row, Stored, instant

_WORKER_LOST = "leek.exceptions.WorkerLost"


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
        case "count":  # faults alone fail it, so the outcome of a failed try may be refused
            return 1 + max((run.tries for run in runs), default=0)
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
    by_killers = [run for run in cut if evidence.server_of(run).cause == ""]
    return len(cut) - len(by_killers) + bool(by_killers) >= schedule.MAX_CRASHES


@rule("a killer did not run MAX_CRASHES times")
def killers(evidence: Evidence) -> Iterator[str]:
    """A killer runs MAX_CRASHES times.

    Not counted are runs on a server that others took for dead: it may begin one that was given to
    them in the same moment, and nobody is charged with that; nor are those under a claim that the
    database's own crash has forgotten, nor those on a server whose host alone knows what it was
    running. A run is missing if a fault killed the server between the note of what it is about to
    run and the log's line, or cut it off from the others, so there are no more of those than deaths
    of other causes.
    """
    takes = {"freeze", "outage", "clock", *schedule.LINK_FAULTS}
    deaths = len([server for server in evidence.deaths if server.cause]) + len(
        [fault for fault in evidence.faults if fault.kind in takes]
    )
    for row in evidence.tables.tasks:
        if evidence.kind_of(row.id) != "killer" or row.state not in (SUCCESSFUL, FAILED):
            continue
        runs = evidence.runs_of.get(row.id, [])
        counted = [
            run
            for run in runs
            if run.server not in evidence.taken_for_dead | evidence.judged_unseen
            and not evidence.may_be_forgotten(run)
        ]
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

    The log's line comes a moment after the note that leek reads, so a death may charge tasks that
    had not begun for the log: on a busy machine those of all Workers of a server. Few deaths come
    at such a moment; these tasks are counted over all.
    """
    excess = {}
    for row in evidence.tables.tasks:
        runs = evidence.runs_of.get(row.id, [])
        cut = sum(map(evidence.may_be_charged, runs))
        if row.crashes > cut:
            excess[row.id] = row.crashes - cut
    allowed = max(WORKERS) + len(evidence.deaths) // 4 if evidence.deaths else 0
    if sum(excess.values()) > allowed:
        yield f"{excess} (task: crashes too many), after {len(evidence.deaths)} deaths"
