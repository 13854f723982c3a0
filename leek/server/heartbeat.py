"""Renews this server's lease, and rescues the tasks of dead servers."""

import logging
import threading
import time
from collections.abc import Callable

from leek import leases, lifecycle
from leek.models import Servers
from leek.server.notes import remove_notes, was_running
from leek.server.service import Outage, Service

BEATS_PER_LEASE = 3

logger = logging.getLogger("leek")


class Lease:
    """What the threads of this server know of its lease, by the monotonic clock.

    `server_id` changes when a lost lease is replaced by a new one.
    """

    def __init__(self, server: Servers, seconds: float, asked_at: float) -> None:
        self.server = server
        self.seconds = seconds
        self._valid_until = asked_at + seconds

    @property
    def server_id(self) -> int:
        """The id of this server's row."""
        return self.server.pk

    @property
    def is_valid(self) -> bool:
        """Whether the lease was renewed in time, so that nobody can have taken over."""
        return time.monotonic() < self._valid_until

    def renewed(self, asked_at: float, server: Servers | None = None) -> None:
        """Note a renewal that was asked for at `asked_at`, or the lease of a new registration."""
        if server is not None:
            self.server = server
        self._valid_until = asked_at + self.seconds


class Heartbeat(Service):
    """Takes nothing, and keeps the lease alive until the drain is over; never runs a task."""

    name = "heartbeat"

    def __init__(
        self,
        outage: Outage,
        lease: Lease,
        register: Callable[[], Servers],
        max_crashes: int,
        on_rescue: Callable[[], None],
    ) -> None:
        super().__init__(outage)
        self._lease = lease
        self._register = register
        self._max_crashes = max_crashes
        self._on_rescue = on_rescue
        self._wake = threading.Event()

    def stop(self) -> None:
        """End the loop at once."""
        super().stop()
        self._wake.set()

    def beat_soon(self) -> None:
        """Beat now: a lease of another server is over."""
        self._wake.set()

    def run_once(self) -> None:
        """Renew the lease, look for dead servers, and wait for the next beat."""
        self.renew()
        if rescue_abandoned(self._lease.server_id, self._max_crashes):
            self._on_rescue()
        self._wake.wait(self._lease.seconds / BEATS_PER_LEASE)
        self._wake.clear()

    def renew(self) -> None:
        """Renew the lease; where it was lost, say so and get a new one."""
        asked_at = time.monotonic()
        if leases.renew(self._lease.server_id, self._lease.seconds):
            self._lease.renewed(asked_at)
            return
        logger.error(
            "The lease of this server was lost: it could not be renewed for %s s, and another"
            " server has taken its tasks. It goes on under a new one.",
            self._lease.seconds,
        )
        self._lease.renewed(time.monotonic(), self._register())


def rescue_predecessors(server: Servers, max_crashes: int) -> int:
    """Rescue what the servers left that had this address and port before; return how many tasks."""
    return sum(
        _rescue(dead, max_crashes, even_if_renewed=True) for dead in leases.predecessors(server)
    )


def rescue_abandoned(server_id: int, max_crashes: int) -> int:
    """Rescue what servers left whose lease is over, or gone; return how many tasks."""
    rescued = sum(
        _rescue(dead, max_crashes, even_if_renewed=False) for dead in leases.expired(server_id)
    )
    return rescued + sum(
        lifecycle.rescue(orphan, (), max_crashes) for orphan in lifecycle.abandoned(server_id)
    )


def _rescue(dead: Servers, max_crashes: int, *, even_if_renewed: bool) -> int:
    suspects = was_running(dead.boot)
    if not leases.bury(dead, even_if_renewed=even_if_renewed):
        return 0
    rescued = lifecycle.rescue(dead.pk, suspects, max_crashes)
    remove_notes(dead.boot)
    logger.warning(
        "The server %s is dead: %s of its tasks are back in the queue (it was running %s)",
        dead,
        rescued,
        ", ".join(map(str, sorted(suspects))) or "none that is known",
    )
    return rescued
