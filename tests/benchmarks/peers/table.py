"""Tables of figures, for a page in reStructuredText or Markdown. Pure: nothing is measured here."""

from collections.abc import Sequence
from statistics import median

from tests.benchmarks.peers.figures import Figures

RATES = ("drain", "push", "bulk")
BARE_RATES = ("create", "commit", "bulk")
HEADERS = ("Queue", "Set-up", "Drained/s", "Pushes/s", "In bulk/s", "p50 ms", "p99 ms")
OVERVIEW_HEADERS = (
    "Queue",
    "Database",
    "Drained/s",
    "at best",
    "Pushes/s",
    "at best",
    "p50 ms",
    "p99 ms",
)
BARE_HEADERS = ("Database alone", "create()/s", "Commits/s", "bulk_create/s", "TCP p50 ms")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values is, between two if need be."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def rate(value: float) -> str:
    """Return a rate as text, with what of it means something."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def milliseconds(value: float) -> str:
    """Return a time as text, with what of it means something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _rates(rounds: Sequence[Figures], names: Sequence[str]) -> list[str]:
    found = [[figures.rates[name] for figures in rounds if name in figures.rates] for name in names]
    return [rate(median(values)) if values else "" for values in found]


def cells(rounds: Sequence[Figures]) -> list[str]:
    """Return the figures of a queue: medians of the rates, percentiles of all latencies."""
    good = [figures for figures in rounds if not figures.failed]
    if not good:
        return ["failed" if rounds else "", "", "", "", ""]
    pooled = [value for figures in good for value in figures.latencies]
    times = [milliseconds(percentile(pooled, share)) for share in (0.5, 0.99)] if pooled else []
    return [*_rates(good, RATES), *(times or ["", ""])]


def overview_cells(installed: Sequence[Figures], best: Sequence[Figures]) -> list[str]:
    """Return the figures of a queue in both set-ups, its latencies as installed."""
    drain, push, _, p50, p99 = cells(installed)
    best_drain, best_push, *_ = cells(best)
    return [drain, best_drain, push, best_push, p50, p99]


def drained(rounds: Sequence[Figures]) -> float:
    """Return how many tasks a second a queue drained; 0 where that was not measured."""
    found = [figures.rates["drain"] for figures in rounds if "drain" in figures.rates]
    return median(found) if found else 0.0


def bare_cells(rounds: Sequence[Figures]) -> list[str]:
    """Return the figures of a database alone."""
    good = [figures for figures in rounds if not figures.failed]
    if not good:
        return ["failed", "", "", ""]
    pooled = [value for figures in good for value in figures.latencies]
    return [*_rates(good, BARE_RATES), milliseconds(percentile(pooled, 0.5))]


def remarks(rounds: Sequence[Figures]) -> list[str]:
    """Return what has to be said of the figures: failures, and few pushes."""
    said = dict.fromkeys(remark for figures in rounds for remark in figures.remarks)
    reasons = [figures.failed for figures in rounds if figures.failed]
    failed = {
        f"failed in {reasons.count(reason)} of {len(rounds)} rounds: {reason}": None
        for reason in reasons
    }
    pushes = sum(len(figures.latencies) for figures in rounds if "push" in figures.rates)
    few = [f"latency of {pushes} pushes only"] if 0 < pushes < 100 else []
    return [one_line(remark) for remark in (*said, *failed, *few)]


def one_line(text: str) -> str:
    """Return what a note has room for of a message."""
    joined = " ".join(text.split())
    return joined if len(joined) <= 200 else f"{joined[:200]}..."


def rst(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a simple table in reStructuredText."""
    table = [headers, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(headers))]
    rule = "  ".join("=" * width for width in widths)
    lines = [_padded(row, widths) for row in table]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    rule = ["---" for _ in headers]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headers, rule, *rows))


def _padded(row: Sequence[str], widths: Sequence[int]) -> str:
    """Align numbers to the right, words to the left."""
    cells = [
        cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)
        for cell, width in zip(row, widths, strict=True)
    ]
    return "  ".join(cells).rstrip()
