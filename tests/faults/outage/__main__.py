"""Take the mail server away while mails are pushed, and judge whether that cost anything.

    python -m tests.faults.outage --mails 1000 --minutes 2 [--database sqlite]

The outage lasts until all mails wait for its end, at least. Exit code 0: each mail was delivered
once, at its first try, and other tasks ran meanwhile; 1: not so.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import django
from django.conf import settings

from tests.faults.databases import DATABASES, Database, create
from tests.support import ROOT, free_port


def main() -> int:
    """Parse, start a database, and have the trial made there; return the exit code."""
    options = parsed(sys.argv[1:])
    settings.configure(USE_TZ=True)
    django.setup()
    with tempfile.TemporaryDirectory(prefix="leek-outage-") as folder:
        database = create(options.database, Path(folder) / "database")
        try:
            database.start()
            return tried(database, options.mails, options.minutes * 60)
        finally:
            database.remove()


def parsed(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.outage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument("--mails", type=int, default=1000, help="pushed during the outage")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long the outage lasts")
    return parser.parse_args(arguments)


def tried(database: Database, mails: int, seconds: float) -> int:
    """Make the tables, and run the trial in a process of its own, and return its exit code."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LEEK_")},
        "DATABASE_URL": database.url,
        "DJANGO_SETTINGS_MODULE": "tests.smtp_site",
        "LEEK_TASKS_PORT": str(free_port()),
        "PYTHONPATH": str(ROOT),
        "TESTS_DATABASE_NAME": "",
        "TESTS_SMTP_PORT": str(free_port()),
        "TMPDIR": str(database.folder.parent),
    }
    migrate = [sys.executable, "-m", "django", "migrate", "-v0", "--skip-checks"]
    subprocess.run(migrate, env=environment, cwd=ROOT, check=True)
    trial = [sys.executable, "-m", "tests.faults.outage.site", str(mails), str(seconds)]
    return subprocess.run(trial, env=environment, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
