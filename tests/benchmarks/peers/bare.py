"""What the database itself does on this machine, beside which the peers can be seen."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.benchmarks.peers.figures import Figures, Limits
from tests.benchmarks.peers.peer import Peer

if TYPE_CHECKING:
    from leek.models import QueuedTasks

ECHO = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
connection = server.accept()[0]
connection.settimeout(10)
while data := connection.recv(64):
    connection.sendall(data)
"""
BULK = 1_000


class Bare(Peer):
    """Rows like leek's, written by Django's ORM without any queue."""

    name = "bare"
    packages = ("Django",)
    databases = ("sqlite", "postgresql", "mariadb")
    apps = ("leek",)
    installed = "Django's own database settings"
    best = "SQLite with WAL as in leek's README, or kept connections"

    def measure(self, limits: Limits) -> Figures:
        """Return how often a second each thing can be done, and the round trips of TCP."""
        from django.db import transaction

        from leek.models import QueuedTasks

        first = self._row()
        first.save()

        def commit() -> None:
            with transaction.atomic():
                QueuedTasks.objects.filter(pk=first.pk).update(priority=0)

        seconds = limits.seconds / 3
        rates = {
            "create": rate(seconds, lambda: self._row().save(force_insert=True)),
            "commit": rate(seconds, commit),
            "bulk": BULK
            * rate(
                seconds,
                lambda: QueuedTasks.objects.bulk_create([self._row() for _ in range(BULK)]),
            ),
        }
        return Figures(rates, round_trips(limits.pushes))

    def _row(self) -> "QueuedTasks":
        from django.utils import timezone

        from leek.models import QueuedTasks, State

        now = timezone.now()
        return QueuedTasks(
            name="tests.benchmarks.peers.tasks.plain.noop",
            payload="x" * 110,
            state=State.SUCCESSFUL,
            run_after=now,
            pushed_at=now,
        )


def rate(seconds: float, action: Callable[[], object]) -> float:
    """Return how often a second an action can be done."""
    action()
    began = time.perf_counter()
    times = 0
    while time.perf_counter() - began < seconds:
        action()
        times += 1
    return times / (time.perf_counter() - began)


def round_trips(times: int) -> list[float]:
    """Return the milliseconds of some round trips to another process over loopback."""
    echo = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
    assert echo.stdout is not None
    try:
        port = int(echo.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return [_round_trip(connection) for _ in range(times)]
    finally:
        echo.terminate()
        echo.wait()
        echo.stdout.close()


def _round_trip(connection: socket.socket) -> float:
    began = time.perf_counter()
    connection.sendall(b"x" * 32)
    connection.recv(64)
    return (time.perf_counter() - began) * 1000
