"""How long it takes until what a dead server was running is started again."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults.chaos.evidence import Evidence, Fault, Run, Server
from tests.faults.chaos.schedule import LEASE, POLL_INTERVAL

MARGIN = 15.0  # seconds, for machines that are busy with something else
RESTARTED, ELSEWHERE = "restarted", "elsewhere"
LIMITS = {RESTARTED: 1.0 + MARGIN, ELSEWHERE: LEASE + POLL_INTERVAL + MARGIN}
TURN = 45.0  # seconds for other suspects, where nobody knows what was running: one runs at a time


@dataclass(frozen=True)
class Recovery:
    """The time from a server's death to the next start of something that it was running.

    With a successor at the same port (`restarted`) it counts from when that process is up, else
    from the death, and so it does where another host was faster than the successor. It is disturbed
    if in between a fault hit the database, the successor, or without one more than one of the other
    servers.
    """

    server: int
    way: str
    seconds: float
    is_undisturbed: bool
    limit: float


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
    is_unseen = dead.pid in evidence.judged_unseen
    successors = [
        server
        for server in evidence.servers.values()
        if server.port == dead.port and server.slot == dead.slot
        if server.up and died < server.up <= restarted
    ]
    hit = _hit_between(dead, restarted, evidence)
    if is_unseen or not successors:
        others = {server.slot for pid in hit if (server := evidence.servers.get(pid or 0))}
        is_quiet = None not in hit and len(others - {dead.slot}) < 2
        limit = LIMITS[ELSEWHERE] + (TURN if is_unseen else 0.0)
        return Recovery(dead.pid, ELSEWHERE, restarted - died, is_quiet, limit)
    successor = min(successors, key=lambda server: server.launched)
    is_quiet = not hit & {None, successor.pid}
    seconds = restarted - (successor.up or died)
    return Recovery(dead.pid, RESTARTED, seconds, is_quiet, LIMITS[RESTARTED])


def _hit_between(dead: Server, until: float, evidence: Evidence) -> set[int | None]:
    """Return the servers that were hit since a death; None stands for all.

    On SQLite a frozen server may lock all others out, and a clock that is wrong makes leases wrong
    until the end. What a dead server had locked stays locked as long as a link hides its death.
    """
    died = dead.gone or 0.0
    hit: set[int | None] = {
        other.pid for other in evidence.deaths if died < (other.gone or 0.0) <= until
    }
    for fault in evidence.faults:
        if fault.slot is not None:
            if fault.began <= until and _felt_until(fault) > died:
                hit |= {None} if fault.slot == dead.slot else _servers_in(fault.slot, evidence)
            continue
        hits_all = evidence.vendor == "sqlite" and fault.kind in ("freeze", "clock")
        is_over = fault.over <= died and not (hits_all and fault.kind == "clock")
        if fault.began <= until and not is_over:
            hit.add(None if hits_all else fault.server)
    return hit


def _felt_until(fault: Fault) -> float:
    """Return when the last trace of a fault of links is over.

    What was lost is sent again more and more seldom, up to as long after the fault as it lasted,
    and a connection whose other end is gone is given up within a lease.
    """
    return fault.over + max(fault.over - fault.began, LEASE)


def _servers_in(slot: int, evidence: Evidence) -> set[int | None]:
    return {server.pid for server in evidence.servers.values() if server.slot == slot}
