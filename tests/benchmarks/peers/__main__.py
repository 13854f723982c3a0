"""leek beside its peers; see the package for what is measured and how.

The peers are installed from tests/benchmarks/peers/requirements.txt. What is missing, a package or
a server, is said in the table. Everything that is started is ended, on Ctrl-C and SIGTERM, too.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.benchmarks.peers import databases, machine, report, table
from tests.benchmarks.peers.catalogue import Variant, variants
from tests.benchmarks.peers.figures import Limits
from tests.benchmarks.peers.running import run


def main() -> None:
    """Parse, measure round by round, and print what was found, be it half of it."""
    options = parsed()
    chosen = variants(options.only)
    if options.list or not chosen:
        print("\n".join(variant.key for variant in chosen or variants([])))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    servers = {key: getattr(options, key) for key in ("postgresql", "mariadb", "redis")}
    rounds: report.Rounds = {variant: [] for variant in chosen}
    limits = Limits(options.tasks, options.pushes, options.seconds)
    try:
        for number in range(1, options.rounds + 1):
            for variant in chosen:
                began = time.monotonic()
                rounds[variant].append(run(variant, limits, servers))
                _tell(f"round {number}, {variant.key}", began, rounds[variant][-1].failed)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        _print(options, _describe(chosen, servers), rounds)


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of these arguments, or of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], help="such as leek, sqlite/huey or best")
    parser.add_argument("--list", action="store_true", help="only list what would be measured")
    parser.add_argument("--rounds", type=int, default=3, help="of all set-ups, one after the other")
    parser.add_argument("--tasks", type=int, default=20_000, help="no-ops to drain at most")
    parser.add_argument("--pushes", type=int, default=100, help="pushes to an idle worker")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each figure at most")
    parser.add_argument("--markdown", type=Path, help="a file for the same tables in Markdown")
    parser.add_argument("--json", type=Path, help="a file for all figures of all rounds")
    parser.add_argument("--postgresql", default="postgres://postgres@127.0.0.1:5432")
    parser.add_argument("--mariadb", default="mysql://root@127.0.0.1:3306")
    parser.add_argument("--redis", default="redis://127.0.0.1:6379")
    return parser.parse_args(arguments)


def _describe(chosen: Iterable[Variant], servers: dict[str, str]) -> list[str]:
    packages = ["Django", *(name for variant in chosen for name in variant.peer.packages)]
    found = []
    for kind in dict.fromkeys(variant.database for variant in chosen):
        try:
            found.append(databases.version(kind, servers))
        except Exception as error:
            found.append(f"no {kind}: {type(error).__name__}")
    return machine.describe(packages, found)


def _tell(what: str, began: float, failed: str) -> None:
    text = f"{what}: {time.monotonic() - began:.0f} s {failed}"
    print(text.rstrip(), file=sys.stderr, flush=True)


def _print(options: argparse.Namespace, about: list[str], rounds: report.Rounds) -> None:
    measured = {variant: found for variant, found in rounds.items() if found}
    print(report.page(about, measured, table.rst))
    if options.markdown:
        options.markdown.write_text(report.page(about, measured, table.markdown))
    if options.json:
        options.json.write_text(report.as_json(about, measured))


if __name__ == "__main__":
    main()
