"""Renews this server's lease."""

import time
from collections.abc import Callable

from leek import leases
from leek.models import Servers
from leek.outcome import Claimed
from leek.server.journal import journal
from leek.server.service import Outage, Service

BEATS_PER_LEASE = 3


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

    def covers(self, claimed: Claimed) -> bool:
        """Tell whether a claimed task is this server's for sure, and so may be started."""
        return self.is_valid and claimed.owner == self.server_id

    def renewed(self, asked_at: float, server: Servers | None = None) -> None:
        """Note a renewal that was asked for at `asked_at`, or the lease of a new registration."""
        if server is not None:
            self.server = server
        self._valid_until = asked_at + self.seconds


class Heartbeat(Service):
    """Takes nothing, and keeps the lease alive until the drain is over; does nothing else."""

    name = "heartbeat"
    keeps_connections = True

    def __init__(self, outage: Outage, lease: Lease, register: Callable[[], Servers]) -> None:
        super().__init__(outage)
        self._lease = lease
        self._register = register

    def run_once(self) -> None:
        """Renew the lease, and wait for the next beat."""
        self.renew()
        self.rest(self._lease.seconds / BEATS_PER_LEASE)

    def renew(self) -> None:
        """Renew the lease; where it was lost, say so and get a new one."""
        asked_at = time.monotonic()
        if leases.renew(self._lease.server_id, self._lease.seconds):
            self._lease.renewed(asked_at)
        elif not self.stopping.is_set():
            journal.error(
                "The lease of this server was lost: it could not be renewed for %s s, and another"
                " server has taken its tasks. It goes on under a new one.",
                self._lease.seconds,
            )
            self._lease.renewed(time.monotonic(), self._register())
