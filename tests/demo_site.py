"""The demo, as a visitor and its owner run it: in processes of its own."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Thread

from tests.support import GIVE_UP_AFTER, ROOT, environment, free_port

MANAGE = str(ROOT / "testproject" / "manage.py")
SITE = r"site: (http://127\.0\.0\.1:(\d+)/).*process (\d+)"
LEEK_SERVER = r"leek_server: localhost:(\d+).*process (\d+)"
MAIL_SINK = r"mail sink: 127\.0\.0\.1:(\d+)"


def site(database: Path | str) -> dict[str, str]:
    """Return what makes `environment` a demo's: a file of SQLite or a URL, and ports of its own."""
    return {
        "DJANGO_SETTINGS_MODULE": "testproject.settings",
        "DATABASE_URL": f"sqlite:///{database}" if isinstance(database, Path) else database,
        "LEEK_TASKS_PORT": str(free_port()),
        "SITE_PORT": str(free_port()),
        "EMAIL_PORT": str(free_port()),
    }


class DemoProcess:
    """`manage.py demo`, and what it has printed so far."""

    def __init__(self, folder: Path, **extra: str) -> None:
        self.held = folder / "held"
        self.site = {
            **site(folder / "db.sqlite3"),
            "DJANGO_SETTINGS_MODULE": "tests.demo_settings",
            "TESTS_HELD": str(self.held),
            **extra,
        }
        self.process = subprocess.Popen(
            [sys.executable, MANAGE, "demo"],
            env=environment(**self.site),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.printed = ""
        self.changed = Condition()
        self.reader = Thread(target=self.read, name="reads the demo")
        self.reader.start()

    def read(self) -> None:
        for line in self.process.stdout or ():
            with self.changed:
                self.printed += line
                self.changed.notify_all()

    def find(self, pattern: str) -> re.Match[str]:
        """Wait for a line that matches."""
        with self.changed:
            self.changed.wait_for(lambda: re.search(pattern, self.printed), GIVE_UP_AFTER)
            found = re.search(pattern, self.printed)
        assert found, f"no {pattern!r} in:\n{self.printed}"
        return found

    @contextmanager
    def holding(self, attempt: int = 1) -> Iterator[None]:
        """Have tasks wait before this try meanwhile: a server has claimed them, and they run."""
        self.held.write_text(str(attempt))
        try:
            yield
        finally:
            self.held.unlink()

    def ports(self) -> list[int]:
        found = (self.find(MAIL_SINK)[1], self.find(LEEK_SERVER)[1], self.find(SITE)[2])
        return [int(port) for port in found]

    def wait(self) -> int:
        """Wait for the end, and return the exit code."""
        code = self.process.wait(GIVE_UP_AFTER)
        self.reader.join()
        return code

    def close(self) -> None:
        """Stop it, if it still runs."""
        self.process.terminate()
        with self.process:
            self.wait()
