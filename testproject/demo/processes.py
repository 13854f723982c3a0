"""Management commands as child processes that are watched and stopped together."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

MANAGE = Path(__file__).resolve().parent.parent / "manage.py"
PATIENCE = 12  # seconds to stop in: a little more than leek_server's own deadline


@dataclass(frozen=True)
class Line:
    """A line that a process has printed."""

    process: str
    text: str

    def __str__(self) -> str:
        return f"{self.process} | {self.text}"


@dataclass(frozen=True)
class Ended:
    """The end of a process."""

    process: str
    exit_code: int


class Processes:
    """Starts children and reports, from one thread for each, their lines and their end."""

    def __init__(self, report: Callable[[Line | Ended], None]) -> None:
        self.report = report
        self.watchers: dict[subprocess.Popen[str], Thread] = {}

    def start(self, name: str, *command: str) -> int:
        """Start a management command and return its process id."""
        child = subprocess.Popen(  # noqa: S603 (the commands are the demo's own)
            [sys.executable, "-u", str(MANAGE), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,  # Ctrl-C reaches the demo alone, which then stops its children
        )
        self.watchers[child] = Thread(target=self.watch, args=(name, child), name=f"{name} watch")
        self.watchers[child].start()
        return child.pid

    def watch(self, name: str, child: subprocess.Popen[str]) -> None:
        """Report what a child prints, and then how it ended."""
        with child:
            for line in child.stdout or ():
                if text := line.rstrip():
                    self.report(Line(name, text))
        self.report(Ended(name, child.returncode))

    def stop(self) -> None:
        """Ask every child to stop; kill the ones that do not, all at once if interrupted."""
        for child in self.watchers:
            child.terminate()
        try:
            for watcher in self.watchers.values():
                watcher.join(PATIENCE)
        finally:
            for child in self.watchers:
                child.kill()
