"""dramatiq with Redis."""

import sys

from tests.benchmarks.peers.peer import Peer


class Dramatiq(Peer):
    """dramatiq; it has no bulk push, and stores no results unless asked to."""

    name = "dramatiq"
    packages = ("dramatiq", "redis")
    databases = ("redis",)
    tasks = "dramatiq"
    installed = (
        "`dramatiq module`: a supervisor and a process for each core, 8 threads each; polls with "
        "back-off from 5 ms to 1 s"
    )
    best = "the same, as it always forks, with `dramatiq_queue_prefetch=1000` and `--skip-logging`"

    def prepare(self) -> None:
        """Do nothing: Redis needs no tables."""

    def worker(self) -> list[str]:
        """Start its own command."""
        prefetch = ["env", "dramatiq_queue_prefetch=1000"] if self.place.tuned else []
        start = [sys.executable, "-m", "dramatiq", "tests.benchmarks.peers.tasks.dramatiq"]
        return [*prefetch, *start, *(["--skip-logging"] if self.place.tuned else [])]

    def push(self) -> None:
        """Send the message."""
        from tests.benchmarks.peers.tasks.dramatiq import noop

        noop.send()

    def unfinished(self) -> int:
        """Count messages that are not acknowledged."""
        from tests.benchmarks.peers.tasks.dramatiq import broker

        waiting: int = broker.client.hlen("dramatiq:default.msgs")
        return waiting
