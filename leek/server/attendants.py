"""What a server sees to besides claiming, running and recording tasks."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from leek import lifecycle
from leek.models import Servers
from leek.outcome import Progress
from leek.server.admission import Admission
from leek.server.alarm import Alarm
from leek.server.gatekeeper import Gatekeeper
from leek.server.heartbeat import Heartbeat, Lease
from leek.server.monitor import Monitor
from leek.server.options import PoolOptions
from leek.server.progress import ProgressKeeper
from leek.server.purger import Purger
from leek.server.rescuer import Rescuer
from leek.server.scheduler import Scheduler
from leek.server.service import Outage
from leek.server.watch import Watch


class Attendants:
    """Builds the services that attend to the Workers, and starts and stops them together.

    They go on until the drain is over, but for those that only make more work. `on_rows` is called
    when there are new rows, of any queue.
    """

    def __init__(
        self,
        options: PoolOptions,
        lease: Lease,
        outage: Outage,
        alarm: Alarm,
        write_lock: AbstractContextManager[object],
        register: Callable[[], Servers],
        running: Callable[[], set[int]],
        on_rows: Callable[[], None],
    ) -> None:
        self._write_lock = write_lock
        self.heartbeat = Heartbeat(outage, lease, register)
        self.rescuer = Rescuer(outage, lease, options.max_crashes, on_rescue=on_rows)
        self.gatekeeper = Gatekeeper(
            outage,
            options.queues,
            options.poll_interval,
            works=lambda service: self.watch.works(service),
            on_ready=alarm.work_is_ready,
        )
        self.watch = Watch(outage, self.gatekeeper.service_changed)
        self.admission = Admission(self.watch, write_lock, self.gatekeeper.look)
        self.scheduler = Scheduler(
            outage,
            options.schedules,
            options.serializer_mode,
            write_lock,
            on_push=on_rows,
        )
        self.purger = Purger(outage, options.purge_after, write_lock)
        self.progress = ProgressKeeper(outage, self._store_progress)
        self.monitor = Monitor(outage, lease, running, write_lock)
        self._services = (
            self.heartbeat,
            self.rescuer,
            self.gatekeeper,
            self.scheduler,
            self.purger,
            self.monitor,
        )

    def start(self) -> None:
        """Start those that do not wait for something to do."""
        for service in self._services:
            service.start()

    def begin_stop(self) -> None:
        """Push and purge nothing any more."""
        self.scheduler.stop()
        self.purger.stop()

    def stop(self) -> None:
        """Stop them all."""
        for part in (self.progress, self.watch, *self._services):
            part.stop()

    def join(self, seconds: float) -> None:
        """Wait so long for them to close their connections."""
        deadline = time.monotonic() + seconds
        for part in (self.progress, self.watch, *self._services):
            part.join(deadline - time.monotonic())

    def _store_progress(self, latest: Sequence[Progress]) -> None:
        with self._write_lock:
            lifecycle.note_progress(latest)
