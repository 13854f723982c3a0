"""What a run amounts to, in numbers."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from tests.faults.chaos.checker import Violation
from tests.faults.chaos.evidence import Evidence
from tests.faults.chaos.recovery import ELSEWHERE, RESTARTED, recoveries

_LATE = "a late write was accepted"
_LOST = "an acknowledged push was lost"


@dataclass
class Figures:
    """Counts, and times in seconds; those of several runs can be added."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    slowest_push: float = 0.0
    last_finish: float = 0.0

    def add(self, other: "Figures") -> None:
        """Add those of another run."""
        self.counts += other.counts
        self.faults += other.faults
        self.slowest_push = max(self.slowest_push, other.slowest_push)
        self.last_finish = max(self.last_finish, other.last_finish)
        for way, seconds in other.recoveries.items():
            self.recoveries.setdefault(way, []).extend(seconds)


def figures_of(evidence: Evidence, violations: Iterable[Violation]) -> Figures:
    """Return the figures of a run."""
    pushed = evidence.named("pushed")
    figures = Figures(
        Counter(_of_tasks(evidence) | _of_promises(evidence, violations)),
        Counter(fault.kind for fault in evidence.faults),
        slowest_push=max((line["at"] - line["asked_at"] for line in pushed), default=0.0),
        last_finish=max((run.ended or 0.0 for run in evidence.runs), default=0.0)
        - evidence.named("quiet")[0]["at"],
    )
    for one in recoveries(evidence):
        if one.is_undisturbed:
            figures.recoveries.setdefault(one.way, []).append(one.seconds)
    return figures


def _of_tasks(evidence: Evidence) -> dict[str, int]:
    """Return how many tasks were pushed, run, and counted."""
    return {
        "pushed": len(evidence.pushed),
        "rolled back": sum(len(line["tags"]) for line in evidence.named("rolled back")),
        "in doubt": len(evidence.doubtful.difference(evidence.pushed.values())),
        "runs": len(evidence.runs),
        "repeated runs": len(evidence.runs) - len(evidence.runs_of),
        "number": evidence.tables.number,
        "counters": len(evidence.counters),
        "acknowledged": len(evidence.counters & evidence.pushed.keys()),
        "counts begun": sum(evidence.kind_of(run.task) == "count" for run in evidence.runs),
    }


def _of_promises(evidence: Evidence, violations: Iterable[Violation]) -> dict[str, int]:
    """Return how often promises were put to the test, and broken."""
    broken = Counter(violation.promise for violation in violations)
    logs = evidence.logs.values()
    return {
        "seeds": 1,
        "deaths": len(evidence.deaths),
        "refused": sum(text.count("its outcome is dropped") for text in logs),
        "lost": broken[_LOST],
        "late": broken[_LATE],
        "violations": sum(broken.values()),
    }


def lines(figures: Figures) -> list[str]:
    """Return the figures as text, a line for each subject."""
    counts = figures.counts
    faults = [f"{count} {kind}" for kind, count in sorted(figures.faults.items())]
    return [
        f"  Pushed: {counts['pushed']} tasks, beside them {counts['rolled back']} rolled back, and"
        f" {counts['in doubt']} in doubt because the database failed; slowest push"
        f" {figures.slowest_push:.2f} s",
        f"  Run: {counts['runs']} times, of these {counts['repeated runs']} again",
        f"  Counted: {counts['number']}, by {counts['counters']} atomic tasks, of which"
        f" {counts['acknowledged']} were acknowledged, in {counts['counts begun']} runs",
        f"  Faults: {', '.join(faults)}",
        f"  Servers that died: {counts['deaths']}; late writes refused: {counts['refused']}",
        f"  Started again on the same port, after it was up: {_spread(figures, RESTARTED)}",
        f"  Started again elsewhere, after the death: {_spread(figures, ELSEWHERE)}",
        f"  All was finished {figures.last_finish:.1f} s after the last fault was over",
        f"  Lost: {counts['lost']}; accepted late: {counts['late']}; violations in all:"
        f" {counts['violations']}",
    ]


def table(vendor: str, figures: Figures) -> list[str]:
    """Return the figures as the README has them, a row under its heads."""
    counts = figures.counts
    cells = {
        "Database": vendor,
        "Seeds": str(counts["seeds"]),
        "Tasks": str(counts["pushed"]),
        "Faults": str(sum(figures.faults.values())),
        "Deaths": str(counts["deaths"]),
        "Refused": str(counts["refused"]),
        "Accepted": str(counts["late"]),
        "Lost": str(counts["lost"]),
        "Violations": str(counts["violations"]),
        "Same port": _short_spread(figures, RESTARTED),
        "Elsewhere": _short_spread(figures, ELSEWHERE),
    }
    widths = [max(map(len, cell)) for cell in cells.items()]
    ruler = ["=" * width for width in widths]
    rows = [ruler, list(cells), ruler, list(cells.values()), ruler]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _spread(figures: Figures, way: str) -> str:
    cases = len(figures.recoveries.get(way, []))
    return f"{_short_spread(figures, way)} (p50, max of {cases} without another fault in between)"


def _short_spread(figures: Figures, way: str) -> str:
    seconds = figures.recoveries.get(way, [])
    return f"{median(seconds):.2f}, {max(seconds):.2f} s" if seconds else "-"
