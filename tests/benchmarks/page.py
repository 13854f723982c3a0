"""The page that is made of all figures. Pure: nothing is measured here."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from tests.benchmarks.targets import TARGETS

HEAD = "Figure"
MISSED = "missed"


@dataclass
class Column:
    """What was measured on one database; `failures` are by the name of the measure."""

    vendor: str
    title: str
    figures: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def as_markdown(machine: Sequence[str], columns: Sequence[Column]) -> str:
    """Return a table with a row for each figure, its target in brackets."""
    rows = [[HEAD, *(column.title for column in columns)]]
    rows.append(["---"] * len(rows[0]))
    for name, target in TARGETS.items():
        if any(name in column.figures for column in columns):
            unit = f", {target.unit}" if target.unit else ""
            rows.append([f"{target.what}{unit}", *(_cell(name, column) for column in columns)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    failures = [
        f"- {column.title}, {name}: {reason}"
        for column in columns
        for name, reason in column.failures.items()
    ]
    parts = ["\n".join(f"- {line}" for line in machine), table, "\n".join(failures)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cell(name: str, column: Column) -> str:
    if (value := column.figures.get(name)) is None:
        return ""
    target = TARGETS[name]
    text = _number(value)
    if limit := target.limit(column.vendor):
        text += f" ({limit[0]} {limit[1]:,g})"
    return text if target.is_reached(value, column.vendor) else f"**{text} {MISSED}**"


def _number(value: float) -> str:
    """Return a number with what of it means something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def as_json(machine: Sequence[str], columns: Sequence[Column]) -> str:
    """Return every figure."""
    found = {"machine": list(machine), "databases": [asdict(column) for column in columns]}
    return json.dumps(found, indent=1) + "\n"
