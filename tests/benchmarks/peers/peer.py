"""What a queue must be able to do here to be measured, and where it is measured."""

import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

PLACE = "LEEK_PEERS_PLACE"  # the environment variable that tells a process what it measures


@dataclass(frozen=True)
class Place:
    """One set-up of one peer, and what was laid out for it alone."""

    peer: str
    database: str
    tuned: bool
    url: str
    directory: str
    port: int

    @classmethod
    def of_this_process(cls) -> "Place":
        """Return what this process was started for."""
        return cls(**json.loads(os.environ[PLACE]))

    def environment(self) -> dict[str, str]:
        """Return the environment of a process that is to work here."""
        return {
            **os.environ,
            PLACE: json.dumps(asdict(self)),
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.peers.settings",
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def notes(self) -> str:
        """The file in which the tasks note their starts."""
        return f"{self.directory}/starts"


def manage(*arguments: str) -> list[str]:
    """Return the command line of a management command."""
    return [sys.executable, "-m", "django", *arguments]


class Peer:
    """A queue at one place. Its own packages are imported inside methods only."""

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]  # whose versions count
    databases: ClassVar[tuple[str, ...]]
    apps: ClassVar[tuple[str, ...]] = ()
    tasks: ClassVar[str] = "plain"  # the module of `tasks` that has its task
    setups: ClassVar[tuple[bool, ...]] = (False, True)  # as installed, with the best tuning
    bulk: ClassVar[bool] = False  # whether push_many is more than many a push
    installed: ClassVar[str] = ""  # how it is set up: said below the table
    best: ClassVar[str] = ""

    def __init__(self, place: Place) -> None:
        self.place = place

    @property
    def poll(self) -> float:
        """Seconds between two looks of an idle worker; 0 if it is woken, or waits in a read."""
        return 0.0

    def settings(self) -> dict[str, Any]:
        """Return Django settings beside INSTALLED_APPS and DATABASES."""
        return {}

    def prepare(self) -> None:
        """Create what it stores in."""
        from django.core.management import call_command

        call_command("migrate", verbosity=0)

    def worker(self) -> list[str]:
        """Return the command line of its worker."""
        raise NotImplementedError

    def push(self) -> None:
        """Push the task once."""
        raise NotImplementedError

    def push_many(self, count: int) -> None:
        """Push the task so many times, in one call if there is one."""
        for _ in range(count):
            self.push()

    def unfinished(self) -> int:
        """Return how many tasks are not completed, by its own record."""
        raise NotImplementedError
