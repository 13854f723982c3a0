"""The figures, as text for a person and as values for a program."""

from dataclasses import asdict
from typing import Any

from leek.bench.figures import Figures

RATIOS = (
    "create_per_commit",
    "push_per_create",
    "push_at_work_per_create",
    "push_many_per_bulk_create",
)
CREATE = "create()"
DIGITS = 3


def as_dict(figures: Figures) -> dict[str, Any]:
    """Return the figures and their ratios by name, rounded."""
    values = {**asdict(figures), **{name: getattr(figures, name) for name in RATIOS}}
    return {
        name: round(value, DIGITS) if isinstance(value, float) else value
        for name, value in values.items()
    }


def as_text(figures: Figures) -> str:
    """Return the figures as a table."""
    rows = [
        ("", "per second", ""),
        _row("bare commits", figures.commit),
        _row("create(), one by one", figures.create, figures.create_per_commit, "bare commits"),
        _row("push, one by one", figures.push, figures.push_per_create, CREATE),
        _row("  while tasks run", figures.push_at_work, figures.push_at_work_per_create, CREATE),
        _row("bulk_create()", figures.bulk_create),
        _row("push_many()", figures.push_many, figures.push_many_per_bulk_create, "bulk_create()"),
        _row("drain, one Worker", figures.drain),
        ("", "", ""),
        ("push to start, idle server", "ms", ""),
        ("  half of the tasks within", f"{figures.latency_p50:.2f}", ""),
        ("  99 % of the tasks within", f"{figures.latency_p99:.2f}", ""),
    ]
    lines = [f"{what:<27}{value:>11}  {ratio}".rstrip() for what, value, ratio in rows]
    amounts = f"{figures.tasks:,} tasks in bulk, {figures.pushes:,} one by one"
    return "\n".join([figures.versions, amounts, "", *lines])


def _row(
    what: str, rate: float, ratio: float | None = None, beside: str = ""
) -> tuple[str, str, str]:
    return what, f"{rate:,.0f}", "" if ratio is None else f"{ratio:5.2f} of {beside}"
