"""Rescues the tasks of dead servers."""

import time
from collections.abc import Callable

from leek import agenda, leases, lifecycle
from leek.models import Servers
from leek.server.heartbeat import Lease
from leek.server.journal import journal
from leek.server.notes import remove_notes, tell_of_death, was_running
from leek.server.service import Outage, Service, distrust_after


class Rescuer(Service):
    """Takes what dead servers left, and gives it back to the queue; never runs a task.

    Tasks that a transaction of the dead one has locked are left for the next time. It may have to
    wait for others' transactions, so nothing else may wait for it.
    """

    name = "rescuer"

    def __init__(
        self, outage: Outage, lease: Lease, max_crashes: int, on_rescue: Callable[[], None]
    ) -> None:
        super().__init__(outage)
        self._lease = lease
        self._max_crashes = max_crashes
        self._on_rescue = on_rescue

    def run_once(self) -> None:
        """Rescue what there is to rescue, and wait for more."""
        self._spare_the_living()
        if self.stopping.is_set():
            return
        if rescue_abandoned(self._lease.server_id, self._max_crashes):
            self._on_rescue()
        self.rest(self._lease.seconds)

    def _spare_the_living(self) -> None:
        """Wait until servers have renewed their leases that an outage has only cut off.

        This is no rest: the database may still be away.
        """
        began = time.monotonic()
        while (grace := self._outage.grace) and not self.stopping.is_set():
            self.stopping.wait(grace)
        distrust_after(began)


def rescue_predecessors(server: Servers, max_crashes: int) -> int:
    """Rescue what the servers left that had this address and port before; return how many tasks."""
    return sum(
        _rescue(dead, max_crashes, even_if_renewed=True) for dead in leases.predecessors(server)
    )


def rescue_dead_processes(max_crashes: int) -> int:
    """Rescue what processes of this host left that listened nowhere; return how many tasks.

    Nobody can bind their port after them, but their notes tell of their death.
    """
    dead = [server for server in leases.silent_here() if tell_of_death(server.boot)]
    return sum(_rescue(each, max_crashes, even_if_renewed=True) for each in dead)


def rescue_abandoned(server_id: int, max_crashes: int) -> int:
    """Rescue what servers left whose lease is over, or gone; return how many tasks."""
    rescued = sum(
        _rescue(dead, max_crashes, even_if_renewed=False) for dead in leases.expired(server_id)
    )
    return rescued + sum(map(lifecycle.release_abandoned, agenda.orphaned(server_id)))


def _rescue(dead: Servers, max_crashes: int, *, even_if_renewed: bool) -> int:
    running = was_running(dead.boot) if dead.workers else ()  # without Workers it ran nothing
    rescued = lifecycle.rescue(dead, running, max_crashes, even_if_renewed=even_if_renewed)
    if rescued is None:
        return 0
    remove_notes(dead.boot)
    journal.warning(
        "The server %s is dead: %s of its tasks are back in the queue (it was running %s)",
        dead,
        rescued.given_back,
        "nobody knows which: one at a time is run, alone"
        if running is None
        else ", ".join(map(str, sorted(running))) or "none",
    )
    for task_id in rescued.lost:
        journal.error(
            "Task %s failed for good: the process running it died %s times", task_id, max_crashes
        )
    return rescued.given_back
