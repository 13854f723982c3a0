"""How long it takes until what a dead server was running is started again."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults.chaos.evidence import Evidence, Run, Server
from tests.faults.chaos.schedule import LEASE, POLL_INTERVAL

MARGIN = 15.0  # seconds, for machines that are busy with something else
RESTARTED, ELSEWHERE = "restarted", "elsewhere"
LIMITS = {RESTARTED: 1.0 + MARGIN, ELSEWHERE: LEASE + POLL_INTERVAL + MARGIN}


@dataclass(frozen=True)
class Recovery:
    """The time from a server's death to the next start of something that it was running.

    With a successor at the same port (`restarted`) it counts from when that process is up, else
    from the death. It is disturbed if in between a fault hit the database, the successor, or
    without one more than one of the other servers.
    """

    server: int
    way: str
    seconds: float
    is_undisturbed: bool


def recoveries(evidence: Evidence) -> Iterator[Recovery]:
    """Return the recovery from each death that cut something short."""
    for dead in evidence.deaths:
        if restarts := [run.began for run in _restarts(dead, evidence)]:
            yield _recovery(dead, min(restarts), evidence)


def _restarts(dead: Server, evidence: Evidence) -> Iterator[Run]:
    """Return the next run of each task that was being run."""
    died = dead.gone or 0.0
    for cut in evidence.runs:
        if cut.server == dead.pid and cut.ended is None:
            later = [run for run in evidence.runs_of[cut.task] if run.began > died]
            yield from later[:1]


def _recovery(dead: Server, restarted: float, evidence: Evidence) -> Recovery:
    died = dead.gone or 0.0
    successors = [
        server
        for server in evidence.servers.values()
        if server.port == dead.port and server.up and died < server.up <= restarted
    ]
    hit = _hit_between(died, restarted, evidence)
    if not successors:
        is_quiet = None not in hit and len(hit - {dead.pid}) < 2
        return Recovery(dead.pid, ELSEWHERE, restarted - died, is_quiet)
    successor = min(successors, key=lambda server: server.launched)
    is_quiet = not hit & {None, successor.pid}
    return Recovery(dead.pid, RESTARTED, restarted - (successor.up or died), is_quiet)


def _hit_between(died: float, until: float, evidence: Evidence) -> set[int | None]:
    """Return the servers that were hit in between; None stands for all.

    On SQLite a frozen server may lock all others out, and a clock that is wrong makes leases wrong
    until the end.
    """
    hit: set[int | None] = {
        other.pid for other in evidence.deaths if died < (other.gone or 0.0) <= until
    }
    for fault in evidence.faults:
        hits_all = evidence.vendor == "sqlite" and fault.kind in ("freeze", "clock")
        is_over = fault.over <= died and not (hits_all and fault.kind == "clock")
        if fault.began <= until and not is_over:
            hit.add(None if hits_all else fault.server)
    return hit
