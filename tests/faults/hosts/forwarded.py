"""How soon an idle server starts what is pushed to a busy one on another host."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from django.utils import timezone

from leek.api import push_task_to_queue
from leek.hinting import hints_to
from leek.models import QueuedTasks, Servers, SuccessTasks
from tests.faults.hosts.host import Host
from tests.faults.hosts.network import Network
from tests.site.tasks import noop, wait_for
from tests.support import LeekServer, wait_until

PORT = 8002  # of each leek_server: every host has all ports
NEVER = "3600"  # seconds

StartServer = Callable[..., LeekServer]


@dataclass(frozen=True)
class Started:
    """A task that was started so long after its push began, by the server at an address."""

    seconds: float
    address: str


class Fleet:
    """A server on each of three hosts, with one Worker; two of them run what does not end.

    None looks by itself whether there is work. The thread that makes it pushes from its own host.
    """

    def __init__(self, network: Network, start: StartServer, folder: Path) -> None:
        self._start = start
        self._gate = folder / "gate"
        self.busy, self.idle = network.add("busy"), network.add("idle")
        for host in (self.busy, network.add("busy-too")):
            self._start_busy(host)
        self._start_server(self.idle)

    def push(self, number: int, host: Host) -> list[Started]:
        """Push tasks to a server one after the other, each when the one before has ended."""
        with hints_to(host.address, PORT):
            return [self._push() for _ in range(number)]

    def let_go(self) -> None:
        """Let what does not end do so."""
        self._gate.touch()

    def _start_server(self, host: Host) -> None:
        self._start(host, "--workers", "1", LEEK_POLL_INTERVAL=NEVER, LEEK_LEASE=NEVER)

    def _start_busy(self, host: Host) -> None:
        self._start_server(host)
        with hints_to(host.address, PORT):
            row = push_task_to_queue(wait_for, str(self._gate), limit=float(NEVER))
        running = QueuedTasks.objects.running().filter(pk=row.pk)
        wait_until(running.exists, "the task that does not end")

    def _push(self) -> Started:
        asked_at = timezone.now()
        row = push_task_to_queue(noop)
        success = SuccessTasks.objects.filter(task_id=row.pk)
        started_at = wait_until(success.values_list("started_at", flat=True).first, "the start")
        owner = QueuedTasks.objects.values_list("owner", flat=True).get(pk=row.pk)
        address = Servers.objects.values_list("address", flat=True).get(pk=owner)
        return Started((started_at - asked_at).total_seconds(), address)


def figures(started: list[Started]) -> str:
    """Return the median, the 99th percentile and the longest, in milliseconds."""
    times = [1000 * each.seconds for each in started]
    p99 = quantiles(times, n=100, method="inclusive")[98]
    return f"p50 {median(times):.1f} ms, p99 {p99:.1f} ms, longest {max(times):.1f} ms"
