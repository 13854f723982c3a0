"""Have leek live through faults, and judge whether it kept its promises.

    python -m tests.faults.chaos --database sqlite --seed 7 --minutes 1

What is pushed and what goes wrong follows from the seed; a run is repeated by its seed, though what
hits whom in which moment is up to the machine. Exit code 0: all promises were kept; 1: not all.
"""

import argparse
import shutil
import signal
import sys
import tempfile
from itertools import groupby
from pathlib import Path

import django
from django.conf import settings

from tests.faults.chaos import clocks
from tests.faults.chaos.checker import Violation, judge
from tests.faults.chaos.figures import Figures, figures_of, lines
from tests.faults.chaos.world import Plan, World
from tests.faults.databases import DATABASES, create


def main() -> int:
    """Parse, run each seed, and print; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument("--seed", "--seeds", type=seeds, default=[1], help="such as 7, or 1-20")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long each seed lasts")
    parser.add_argument("--break", choices=["fence"], default="", dest="broken", help=BREAK_HELP)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings.configure(USE_TZ=True)
    django.setup()
    total = Figures()
    plans = [
        Plan(options.database, seed, options.minutes * 60, options.broken) for seed in options.seed
    ]
    failed = [plan.seed for plan in plans if not keeps_promises(plan, total)]
    if len(plans) > 1:
        print(f"All {len(plans)} seeds:", *lines(total), sep="\n  ")
        print(f"Seeds with violations: {', '.join(map(str, failed)) or 'none'}")
    return 1 if failed else 0


SHOWN = 5  # violations of one promise
BREAK_HELP = "run servers without their fence on a schedule that must find them out"


def seeds(text: str) -> list[int]:
    """Parse a seed, or a range of seeds with both ends."""
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def keeps_promises(plan: Plan, total: Figures) -> bool:
    """Run one seed, print what happened, and return whether all promises were kept."""
    print(f"Seed {plan.seed}, {plan.vendor}, {plan.seconds:g} s", flush=True)
    if clocks.library() is None:
        print("  Clock jumps are left out: libfaketime is not installed (apt install faketime).")
    for fault in plan.faults:
        print(f"  {fault.at:7.2f} s  {fault.kind} server {fault.slot}, {fault.amount:g} s")
    folder = Path(tempfile.mkdtemp(prefix="leek-chaos-"))
    database = create(plan.vendor, folder / "database")
    try:
        database.start()
        with World(plan, database, folder) as world:
            evidence = world.run()
    finally:
        database.remove()
    violations = judge(evidence)
    figures = figures_of(evidence, violations)
    total.add(figures)
    print(*lines(figures), sep="\n  ")
    if violations:
        print(f"VIOLATED, the folder {folder} is kept:", *shortened(violations), sep="\n  ")
        print(f"Replay: {replay(plan)}")
    else:
        shutil.rmtree(folder)
        print("All promises were kept.")
    return not violations


def shortened(violations: list[Violation]) -> list[str]:
    """Return the first violations of each promise, and how many more there are."""
    text: list[str] = []
    for promise, found in groupby(violations, lambda violation: violation.promise):
        all_of_it = list(found)
        text += map(str, all_of_it[:SHOWN])
        if len(all_of_it) > SHOWN:
            text.append(f"{promise}: {len(all_of_it) - SHOWN} more times")
    return text


def replay(plan: Plan) -> str:
    """Return the command that repeats a run."""
    command = f"python -m tests.faults.chaos --database {plan.vendor} --seed {plan.seed}"
    return f"{command} --minutes {plan.seconds / 60:g}" + (
        f" --break {plan.broken}" if plan.broken else ""
    )


if __name__ == "__main__":
    sys.exit(main())
