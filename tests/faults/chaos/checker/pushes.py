"""What is promised to who pushes."""

from collections.abc import Iterator

from tests.faults.chaos.checker.rules import rule
from tests.faults.chaos.evidence import Evidence

PUSH_LIMIT = 5.0  # seconds, on a busy machine


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
    for row in evidence.tables.tasks:
        if row.id not in evidence.pushed and evidence.tags.get(row.id) not in evidence.doubtful:
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
