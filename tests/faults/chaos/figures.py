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

    def add(self, other: "Figures") -> None:
        """Add those of another run."""
        self.counts += other.counts
        self.faults += other.faults
        self.slowest_push = max(self.slowest_push, other.slowest_push)
        for way, seconds in other.recoveries.items():
            self.recoveries.setdefault(way, []).extend(seconds)


def figures_of(evidence: Evidence, violations: Iterable[Violation]) -> Figures:
    """Return the figures of a run."""
    pushed = evidence.named("pushed")
    broken = Counter(violation.promise for violation in violations)
    figures = Figures(
        Counter(
            {
                "pushed": len(evidence.pushed),
                "rolled back": sum(len(line["tags"]) for line in evidence.named("rolled back")),
                "in doubt": sum(len(line["tags"]) for line in evidence.named("doubtful")),
                "runs": len(evidence.runs),
                "deaths": len(evidence.deaths),
                "repeated runs": len(evidence.runs) - len(evidence.runs_of),
                "refused late writes": sum(
                    text.count("its outcome is dropped") for text in evidence.logs.values()
                ),
                "lost": broken[_LOST],
                "accepted late": broken[_LATE],
                "violations": sum(broken.values()),
            }
        ),
        Counter(fault.kind for fault in evidence.faults),
        slowest_push=max((line["at"] - line["asked_at"] for line in pushed), default=0.0),
    )
    for one in recoveries(evidence):
        if one.is_undisturbed:
            figures.recoveries.setdefault(one.way, []).append(one.seconds)
    return figures


def lines(figures: Figures) -> list[str]:
    """Return the figures as text, a line for each subject."""
    counts = figures.counts
    return [
        f"Pushed: {counts['pushed']} tasks, beside them {counts['rolled back']} rolled back and"
        f" {counts['in doubt']} in doubt (the database failed); slowest push"
        f" {figures.slowest_push:.2f} s",
        f"Run: {counts['runs']} times, of these {counts['repeated runs']} again",
        "Faults: " + ", ".join(f"{count} {kind}" for kind, count in sorted(figures.faults.items())),
        f"Servers that died: {counts['deaths']}; late writes refused:"
        f" {counts['refused late writes']}",
        f"Started again on the same port, after the process was up: {_spread(figures, RESTARTED)}",
        f"Started again elsewhere, after the death: {_spread(figures, ELSEWHERE)}",
        f"Lost: {counts['lost']}; accepted late: {counts['accepted late']}; violations in all:"
        f" {counts['violations']}",
    ]


def _spread(figures: Figures, way: str) -> str:
    seconds = sorted(figures.recoveries.get(way, []))
    if not seconds:
        return "no case without another fault in between"
    return f"p50 {median(seconds):.2f} s, max {seconds[-1]:.2f} s ({len(seconds)} cases)"
