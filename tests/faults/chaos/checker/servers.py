"""What is promised of servers: that they go on, recover, stop, and log no errors of their own."""

import re
from collections.abc import Iterator
from itertools import pairwise
from signal import SIGTERM

from tests.faults.chaos import recovery
from tests.faults.chaos.checker.rules import rule
from tests.faults.chaos.evidence import Evidence, Server

STOP_LIMIT = 10.0  # seconds from SIGTERM to the end of a server, on a busy machine
EXPECTED_ERRORS = re.compile(
    r"The database fails: |The lease of this server was lost|the lease was lost while it ran"
    r"|failed for good|Some outcomes could not be stored in time"
)
_RECORD = re.compile(r"^\d{4}-\S+ \S+ (?P<level>[A-Z]+) ", re.MULTILINE)
_PYTHON = re.compile(r"^(Exception in thread|Exception ignored|Fatal Python error).*", re.MULTILINE)


@rule("recovery took too long")
def slow_recoveries(evidence: Evidence) -> Iterator[str]:
    """What a dead server was running starts again in time, unless another fault came in between."""
    for one in recovery.recoveries(evidence):
        if one.is_undisturbed and one.seconds > one.limit:
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
        if server.stop_asked is None or server.cause not in ("terminate", ""):
            continue
        if server.gone is None:
            yield f"process {server.pid} did not end"
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
    """Nothing goes on in processes that a server has left behind, and there are none."""
    for line in evidence.named("left behind"):
        yield f"process {line['server']} has left {line['processes']} behind"
    for run in evidence.runs:
        gone = evidence.server_of(run).gone
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
