"""The page that is made of all rounds."""

import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict

from tests.benchmarks.peers import table
from tests.benchmarks.peers.bare import Bare
from tests.benchmarks.peers.catalogue import Variant
from tests.benchmarks.peers.figures import Figures

Rounds = dict[Variant, list[Figures]]
Draw = Callable[[Sequence[str], Sequence[Sequence[str]]], str]

WIDTH = 105
LEGEND = (
    "Drained/s: no-ops from the first start to the last completion, pushed before the worker was "
    "started. Pushes/s: one by one, with the worker running. In bulk/s: in calls of 1,000. p50 and "
    "p99: from just before a push to an idle worker to the first line of the task, 10 to 30 ms "
    "after the former task, and up to one interval later where the worker polls. Rates are medians "
    "of the rounds; latencies are of all rounds together."
)


def page(machine: Sequence[str], rounds: Rounds, draw: Draw) -> str:
    """Return the tables of all databases, each with its notes."""
    parts = ["\n".join(_item(line) for line in machine), _wrapped(LEGEND)]
    if overview := _overview(rounds):
        parts.append(draw(table.OVERVIEW_HEADERS, overview))
    for database in dict.fromkeys(variant.database for variant in rounds):
        here = {key: value for key, value in rounds.items() if key.database == database}
        bare = {key: value for key, value in here.items() if key.peer is Bare}
        queues = {key: value for key, value in here.items() if key.peer is not Bare}
        parts.append(f"**{database}**")
        if bare:
            rows = [[key.setup, *table.bare_cells(value)] for key, value in bare.items()]
            parts.append(draw(table.BARE_HEADERS, rows))
        if queues:
            rows = [[key.peer.name, key.setup, *table.cells(v)] for key, v in queues.items()]
            parts.append(draw(table.HEADERS, rows))
        parts.append("\n".join(_note(key, value) for key, value in here.items()))
    return "\n\n".join(parts) + "\n"


def _overview(rounds: Rounds) -> list[list[str]]:
    """Return a row for each queue on each database, the fastest to drain first."""
    queues: dict[tuple[str, str], dict[str, Sequence[Figures]]] = {}
    for variant, found in rounds.items():
        if variant.peer is not Bare:
            queues.setdefault((variant.peer.name, variant.database), {})[variant.setup] = found
    fastest_first = sorted(
        queues.items(), key=lambda queue: -max(map(table.drained, queue[1].values()))
    )
    return [
        [*names, *table.overview_cells(found.get("installed", ()), found.get("best", ()))]
        for names, found in fastest_first
    ]


def _note(variant: Variant, rounds: Sequence[Figures]) -> str:
    text = "; ".join([variant.notes.replace("`", "``"), *table.remarks(rounds)])
    return _item(f"{variant.peer.name}, {variant.setup}: {text}")


def _item(text: str) -> str:
    return _wrapped(f"- {text}", "  ")


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def as_json(machine: Sequence[str], rounds: Rounds) -> str:
    """Return every figure of every round."""
    found = {key.key: [asdict(figures) for figures in value] for key, value in rounds.items()}
    return json.dumps({"machine": list(machine), "variants": found}, indent=1) + "\n"
