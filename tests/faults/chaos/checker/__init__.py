"""The independent judge: it knows the promises, the log and the tables, not leek's code."""

from tests.faults.chaos.checker import counts, pushes, runs, servers  # noqa: F401 (they add rules)
from tests.faults.chaos.checker.rules import RULES, Violation
from tests.faults.chaos.evidence import Evidence

__all__ = ["Violation", "judge"]


def judge(evidence: Evidence) -> list[Violation]:
    """Return all violations of all promises."""
    return [
        Violation(promise, details) for promise, find in RULES.items() for details in find(evidence)
    ]
