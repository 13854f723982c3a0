"""Hold the simulation against what was measured, and ask it what no machine here can do.

python -m tests.benchmarks --only costs fleet --database URL --json FILE
python -m tests.benchmarks.simulation FILE
"""

import argparse
import json
import os
from collections.abc import Iterable
from pathlib import Path

import django


def main() -> None:
    """Parse, simulate for each database of the file, and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "file", type=Path, nargs="+", help="what tests.benchmarks has measured, as JSON"
    )
    files = parser.parse_args().file
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()  # for leek's own rules

    from tests.benchmarks.simulation import scenarios
    from tests.benchmarks.simulation.costs import Costs

    for (vendor, title), figures in measured(files).items():
        print(f"# {title}\n")
        costs = Costs.measured(figures, vendor)
        print(table(scenarios.validation(costs, figures)))
        for scenario in (scenarios.growth, scenarios.moves, scenarios.deaths):
            print(table(scenario(costs)))


def measured(files: Iterable[Path]) -> dict[tuple[str, str], dict[str, float]]:
    """Return the figures by database."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for file in files:
        for database in json.loads(file.read_text())["databases"]:
            of_it = found.setdefault((database["vendor"], database["title"]), {})
            of_it |= database["figures"]
    return found


def table(rows: Iterable[list[str]]) -> str:
    """Return a table in Markdown, whose first row is its head."""
    head, *others = rows
    lines = [head, ["---"] * len(head), *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
