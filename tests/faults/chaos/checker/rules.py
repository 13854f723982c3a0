"""What a rule is: a function that finds where a promise was broken."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.faults.chaos.evidence import Evidence


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
