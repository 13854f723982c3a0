"""Send a real leek_server inputs of all kinds, and watch that nothing but its sender suffers.

    python -m tests.faults.fuzz [--inputs 1000000] [--seed 1]

The database is that of DATABASE_URL, made anew and destroyed at the end. The exit code is 1 if the
server has logged an error or ended, or holds more than before.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import django

from tests.support import LeekServer, free_port


def main() -> None:
    """Parse, set the site up, fuzz and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pushes", type=int, default=100, help="before, for comparison")
    options = parser.parse_args()
    port = free_port()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    os.environ["LEEK_TASKS_PORT"] = str(port)
    django.setup()
    from tests.benchmarks.site import test_database
    from tests.faults.fuzz.trial import fuzz

    with test_database(), tempfile.TemporaryDirectory() as folder:
        server = LeekServer(port, Path(folder) / "server.log").wait_until_ready()
        try:
            verdict = fuzz(server, options.inputs, options.seed, pushes=options.pushes)
        finally:
            server.kill()
    print(f"Seed {options.seed}\n{verdict}")
    sys.exit(1 if verdict.problems else 0)


if __name__ == "__main__":
    main()
