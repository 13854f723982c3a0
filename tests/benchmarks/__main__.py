"""Measure leek, beside the figures that it is meant to reach.

    python -m tests.benchmarks [--database sqlite --database URL ...] [--all | --only NAME ...]

Without --database it is that of DATABASE_URL. Each is the tests' own, made anew and destroyed at
the end. The targets were set on another machine: what this one does by itself is measured, too.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks import page
from tests.benchmarks.catalogue import MEASURES, NAMES, chosen
from tests.benchmarks.page import Column
from tests.benchmarks.peers.machine import describe
from tests.benchmarks.sizes import add_sizes, sizes_of

DRIVERS = {"postgresql": "psycopg", "mysql": "mysqlclient"}
SQLITE = {"sqlite": {}, "sqlite-wal": {"TESTS_SQLITE_WAL": "1"}}


def main() -> None:
    """Parse, measure on each database, and print what was found, be it half of it."""
    options = parser().parse_args()
    if options.profile:
        run_profile(options)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    measures = [measure.name for measure in chosen(options.only, everything=options.all)]
    asked = json.dumps({"measures": measures, "sizes": asdict(sizes_of(options))})
    columns: list[Column] = []
    try:
        for database in options.database or [None]:
            columns.append(Column("", str(database or "DATABASE_URL")))
            measure_on(database, asked, columns[-1])
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        show(options, columns)


def parser() -> argparse.ArgumentParser:
    """Return what parses the options."""
    long = ", ".join(measure.name for measure in MEASURES if measure.is_long)
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--database", action="append", help='"sqlite", "sqlite-wal" or a URL; may be repeated'
    )
    made.add_argument("--all", action="store_true", help=f"also the long ones: {long}")
    made.add_argument("--only", nargs="+", default=[], choices=NAMES, help="what is measured")
    made.add_argument("--profile", action="store_true", help="print where a drain takes its time")
    made.add_argument("--markdown", type=Path, help="a file for the table")
    made.add_argument("--json", type=Path, help="a file for all figures")
    add_sizes(made)
    return made


def measure_on(database: str | None, asked: str, column: Column) -> None:
    """Fill a column in a process that has this database."""
    with process_at(database, "one_database", asked, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found = json.loads(line)
            if "vendor" in found:
                wal = " with WAL" if database == "sqlite-wal" else ""
                column.vendor, column.title = found["vendor"], found["title"] + wal
            elif "failure" in found:
                column.failures[found["measure"]] = found["failure"]
            else:
                column.figures |= found["figures"]
        if code := process.wait():
            column.failures["the process"] = f"exit code {code}"


@contextmanager
def process_at(
    database: str | None, module: str, *arguments: str, stdout: int | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """Run a module of this package on a database; have it clean up where this ends before it."""
    environment = dict(os.environ)
    if database is not None:
        for name in ("DATABASE_URL", "TESTS_DATABASE_NAME"):
            environment.pop(name, None)
        environment |= SQLITE.get(database, {"DATABASE_URL": database})
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments],
        env=environment,
        stdout=stdout,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()


def run_profile(options: argparse.Namespace) -> None:
    """Print the profile of a drain on each database."""
    for database in options.database or [None]:
        with process_at(database, "profiling", str(options.tasks)) as process:
            process.wait()


def show(options: argparse.Namespace, columns: Sequence[Column]) -> None:
    """Print the table, and write the files that were asked for."""
    drivers = [DRIVERS[column.vendor] for column in columns if column.vendor in DRIVERS]
    machine = describe(["Django", *drivers], [column.title for column in columns])
    print(page.as_markdown(machine, columns))
    if options.markdown:
        options.markdown.write_text(page.as_markdown(machine, columns))
    if options.json:
        options.json.write_text(page.as_json(machine, columns))


if __name__ == "__main__":
    main()
