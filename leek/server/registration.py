"""Makes this server's row, as soon as the database is there, and gives it up at the end."""

import time
from collections.abc import Callable
from contextlib import suppress

from django import db

from leek import leases, lifecycle
from leek.database import is_connected
from leek.models import Servers, queue_database
from leek.server.heartbeat import Lease
from leek.server.journal import journal
from leek.server.rescuer import rescue_predecessors
from leek.server.service import Outage, Service


class Registration(Service):
    """Takes nothing, and hands on this server's lease when its predecessors' tasks are rescued."""

    name = "registration"

    def __init__(
        self,
        outage: Outage,
        register: Callable[[], Servers],
        lease_seconds: float,
        max_crashes: int,
        on_end: Callable[[], None],
    ) -> None:
        super().__init__(outage, on_end)
        self.lease: Lease | None = None
        self._register = register
        self._lease_seconds = lease_seconds
        self._max_crashes = max_crashes
        self._registered: Lease | None = None
        self._remedy_is_named = False

    def run_once(self) -> None:
        """Register, and rescue what this server's predecessors left."""
        try:
            lease = self._registered = self._registered or self._obtain_lease()
            rescue_predecessors(lease.server, self._max_crashes)
        except db.Error:
            self._name_the_remedy()
            raise
        self.lease = lease
        self.stopping.set()

    def _obtain_lease(self) -> Lease:
        asked_at = time.monotonic()
        server = self._register()
        journal.info("This is leek_server %s, %s", server.pk, server)
        return Lease(server, self._lease_seconds, asked_at)

    def _name_the_remedy(self) -> None:
        """Say what to do, if it is not just to wait: ask the database, where it can be asked."""
        if self._remedy_is_named or not is_connected(queue_database()):
            return
        with suppress(db.Error):
            if remedy := leases.remedy():
                journal.error(remedy)
                self._remedy_is_named = True


class Resignation(Service):
    """Gives back all that this server has claimed, and ends its lease."""

    name = "resignation"

    def __init__(self, outage: Outage, server_id: int) -> None:
        super().__init__(outage)
        self.is_accepted = False
        self.has_given_back = False  # any task
        self._server_id = server_id

    def run_once(self) -> None:
        """Try once: if the database does not let us, the lease will end by itself."""
        self.stopping.set()
        self.has_given_back = lifecycle.release_all(self._server_id) > 0
        leases.resign(self._server_id)
        self.is_accepted = True
