"""Measure how soon a leek_server works that was started while its database was down.

python -m tests.faults.late_database postgresql --down-for 60
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import django
import environ

from tests.faults import databases
from tests.faults.databases import Database
from tests.support import LeekServer, free_port, manage, wait_until


def main() -> None:
    """Print the seconds from the first connection that is accepted to the start of a task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vendor", choices=databases.DATABASES)
    parser.add_argument("--down-for", type=float, default=60.0, metavar="S")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    with tempfile.TemporaryDirectory() as folder:
        database = databases.create(options.vendor, Path(folder) / "database")
        try:
            seconds = measure(database, options.down_for)
        finally:
            database.remove()
    down = f"{options.vendor} was down for {options.down_for:.0f} s"
    print(f"{down}; a task started {seconds:.3f} s after it accepted connections")


def measure(database: Database, down_for: float) -> float:
    """Return the time from the moment when the database is up to the start of a waiting task."""
    place = str(environ.Env.db_url_config(database.url)["NAME"])
    site = {"DATABASE_URL": database.url, "TESTS_DATABASE_NAME": place}
    gate = database.folder / "gate"
    database.start()
    for command in (
        ("migrate", "-v0"),
        ("leek_push", "tests.site.tasks.wait_for", "--args", json.dumps([str(gate)])),
    ):
        answer = manage(*command, **site)
        assert answer.returncode == 0, answer.stderr
    database.stop()
    server = LeekServer(free_port(), database.folder / "server.log", **site)
    try:
        time.sleep(down_for)
        database.start()
        is_up_at = time.time()
        begun = Path(f"{gate}.begun")
        wait_until(begun.exists, "the start of the task")
        return begun.stat().st_mtime - is_up_at
    finally:
        server.kill()


if __name__ == "__main__":
    main()
