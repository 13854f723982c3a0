"""Have leek live through faults, and judge whether it kept its promises.

    python -m tests.faults.chaos --database sqlite --seed 7 --minutes 1

What is pushed and what goes wrong follows from the seed. A run is repeated by its seed, though what
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
from tests.faults.chaos.figures import Figures, figures_of, lines, table
from tests.faults.chaos.schedule import TRAPS
from tests.faults.chaos.world import Plan, run
from tests.faults.databases import DATABASES
from tests.faults.hosts.network import missing

SHOWN = 5  # violations of one promise
VIOLATED, REFUSED, INTERRUPTED = 1, 2, 130  # exit codes


def main() -> int:
    """Parse, run each seed, and print; return the exit code."""
    options = parsed(sys.argv[1:])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings.configure(USE_TZ=True)
    django.setup()
    if options.hosts and (lacking := missing()):
        print(f"--hosts cannot be had: there is no {' and no '.join(lacking)}")
        return REFUSED
    if clocks.library() is None:
        print("Clock jumps are left out: libfaketime is not installed (apt install faketime).")
    total = Figures()
    try:
        failed = [
            seed
            for seed in options.seed
            if not keeps_promises(
                Plan(
                    options.database,
                    seed,
                    options.minutes * 60,
                    options.broken,
                    options.count,
                    options.hosts,
                ),
                total,
                keep=options.keep,
            )
        ]
    except KeyboardInterrupt:
        print("Interrupted. All that was started has been ended.")
        return INTERRUPTED
    print(*table(options.database, total), sep="\n")
    print(f"Seeds with violations: {', '.join(map(str, failed)) or 'none'}")
    return VIOLATED if failed else 0


def parsed(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument("--seed", "--seeds", type=seeds, default=[1], help="such as 7, or 1-20")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long each seed lasts")
    parser.add_argument(
        "--count",
        type=int,
        default=0,
        metavar="N",
        help="push so many atomic tasks more, each of which adds one to a number",
    )
    parser.add_argument(
        "--hosts",
        action="store_true",
        help="have each server, the pushers and the database on hosts of their own, with links that"
        " fail and clocks that are minutes apart (needs root)",
    )
    parser.add_argument("--keep", action="store_true", help="keep logs also where all is well")
    parser.add_argument(
        "--break",
        choices=TRAPS,
        default="",
        dest="broken",
        help="have servers accept late writes (fence), or store the success of an atomic task apart"
        " from what it writes (atomic), and lay a trap that must find them out",
    )
    options = parser.parse_args(arguments)
    if options.hosts and options.database == "sqlite":
        parser.error("hosts cannot share a file of SQLite")
    return options


def seeds(text: str) -> list[int]:
    """Parse a seed, or a range of seeds with both ends."""
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def keeps_promises(plan: Plan, total: Figures, *, keep: bool) -> bool:
    """Run one seed, print what happened, and return whether all promises were kept."""
    print(f"Seed {plan.seed} on {plan.vendor}{', on hosts' if plan.with_hosts else ''}:")
    for fault in plan.faults:
        print(f"  {fault.at:7.2f} s  {fault}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="leek-chaos-"))
    try:
        evidence = run(plan, folder)
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        raise
    except Exception:
        print(f"The run broke off. The logs are in {folder}")
        raise
    violations = judge(evidence)
    figures = figures_of(evidence, violations)
    total.add(figures)
    print(*lines(figures), sep="\n")
    if violations:
        print("VIOLATED:", *shortened(violations), f"Replay: {plan.command}", sep="\n  ")
    if violations or keep:
        print(f"The logs are in {folder}")
    else:
        shutil.rmtree(folder)
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


if __name__ == "__main__":
    sys.exit(main())
