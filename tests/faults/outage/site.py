"""A trial at the site of the environment: python -m tests.faults.outage.site MAILS SECONDS"""

import os
import sys
import tempfile
from pathlib import Path

import django

from tests.support import LeekServer


def main() -> int:
    """Start a server, make the trial and print; return the exit code."""
    mails, seconds = sys.argv[1:]
    django.setup()
    from tests.faults.outage.sink import Sink
    from tests.faults.outage.trial import trial

    sink = Sink(int(os.environ["TESTS_SMTP_PORT"]))
    with tempfile.TemporaryDirectory() as folder:
        server = LeekServer(
            int(os.environ["LEEK_TASKS_PORT"]),
            Path(folder) / "log",
            DJANGO_SETTINGS_MODULE=os.environ["DJANGO_SETTINGS_MODULE"],
        )
        try:
            seen = trial(server.wait_until_ready(), sink, int(mails), float(seconds))
        finally:
            server.kill()
            sink.stop()
    print(seen)
    return 1 if seen.problems else 0


if __name__ == "__main__":
    sys.exit(main())
