"""What a process of a Celery worker is in the fleet: a server that runs what is relayed to it."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from queue import SimpleQueue
from uuid import UUID, uuid4

from leek import leases, lifecycle
from leek.celery.hinting_alarm import HintingAlarm
from leek.celery.insisting import Insistence
from leek.celery.takeovers import Takeovers
from leek.connections import keep_caches
from leek.database import impatient_connections, thrifty_connections, watched_links, write_lock
from leek.models import Servers, queue_database
from leek.outcome import Claimed, Outcome
from leek.server.announcer import Announcer
from leek.server.attendants import Attendants
from leek.server.backlog import Backlog
from leek.server.cancelling import Cancellations
from leek.server.heartbeat import Lease
from leek.server.isolation import ChildLimits, ChildUnavailable, Isolation
from leek.server.journal import journal
from leek.server.notes import RunningNotes
from leek.server.options import PoolOptions, executor_of
from leek.server.recorder import Recorder
from leek.server.registration import Resignation
from leek.server.returns import PUT_OFF
from leek.server.runner import Parts, Runner
from leek.server.service import Outage, distrust_after, give_up_connections

ADDRESS, PORT = "celery", 0  # a member listens nowhere
LOOK_INTERVAL = 1.0  # seconds between looks at the lease while an outcome is not stored
LAST_MOMENT = 5.0  # seconds to store outcomes at the end


class Member:
    """Takes over what messages name, runs it in the thread that asks, and stores how it ended.

    It has the parts of a server's pool, but for those that find work: instead of waking these it
    hints to `leek_server`. As many tasks run at a time as Celery runs in this process. The database
    is insisted on until `leaving` is set.
    """

    def __init__(
        self, options: PoolOptions, lease_seconds: float, leaving: threading.Event
    ) -> None:
        boot, alias = uuid4(), queue_database()
        register = partial(_register, boot, options.workers, lease_seconds)
        self._leaving = leaving
        self._outage = Outage()
        self._alarm = HintingAlarm()
        self._write_lock = write_lock(alias)
        self._insist = Insistence(self._outage, self._write_lock, leaving)
        with ExitStack() as links:
            links.enter_context(watched_links(lease_seconds))
            links.enter_context(thrifty_connections(alias))
            links.enter_context(impatient_connections(alias))
            self._lease = self._insist.on(lambda: _lease(register, lease_seconds))
            self._links = links.pop_all()
        self._takeovers = Takeovers(self._lease, self._write_lock, self._insist, self._alarm)
        self._notes = RunningNotes(boot, options.workers)
        self._attendants = Attendants(
            options,
            self._lease,
            self._outage,
            self._alarm,
            self._write_lock,
            register,
            self._notes.running,
            on_rows=self._alarm.work_is_ready,
        )
        self._announcer = Announcer(self._outage, on_end=lambda: None)
        self._recorder = Recorder(
            self._outage,
            self._lease,
            self._alarm,
            self._write_lock,
            on_settled=self._settled,
            on_stored=self._stored,
            on_end=self._announcer.stop,
        )
        self._awaited: dict[tuple[int, int], threading.Event] = {}
        self._suspects = threading.Lock()  # of whoever runs one: a second one would share its blame
        self._isolations: list[Isolation] = []
        self._runners = self._build_runners(options)
        self._of_thread = threading.local()

    def _build_runners(self, options: PoolOptions) -> SimpleQueue[Runner]:
        executor = executor_of(options, self._attendants.progress.note)
        admission = self._attendants.admission
        parts = Parts(
            self._lease,
            executor,
            admission,
            self._write_lock,
            False,
            self._notes,
            on_outcome=self._recorder.record,
            give_back=self._give_back,
            put_off=self._put_off,
            cancellations=Cancellations(Backlog(), self._recorder.take, lambda claimed: None),
        )
        runners: SimpleQueue[Runner] = SimpleQueue()
        for place in range(options.workers):
            isolation = Isolation(executor, admission, ChildLimits())
            self._isolations.append(isolation)
            runners.put(Runner(parts, isolation, place, on_free=lambda claimed, seconds: None))
        return runners

    def start(self) -> None:
        """Start the threads."""
        self._attendants.start()
        self._recorder.start()

    def run(self, task_id: int, owner: int, claim: int) -> bool:
        """Run a task that was relayed; return when its outcome is stored, or cannot be any more.

        Return False, and run nothing, where the message is out of date, or this process leaves.
        """
        self._prepare_thread()
        if (claimed := self._takeovers.take(task_id, owner, claim)) is None:
            journal.debug("A message about task %s is out of date", task_id)
            return False
        if self._leaving.is_set():
            self._give_back(claimed)
            return False
        if not claimed.suspect:
            self._run(claimed)
        elif self._suspects.acquire(blocking=False):
            try:
                self._run(claimed)
            finally:
                self._suspects.release()
        else:
            self._put_off(claimed)
        self._of_thread.used_at = time.monotonic()
        return True

    def _run(self, claimed: Claimed) -> None:
        """Run a task; return when its outcome is stored, or cannot be any more."""
        stored = self._awaited[claimed.id, claimed.claim] = threading.Event()
        runner = self._runners.get()
        try:
            runner.run(claimed)
        except ChildUnavailable as error:
            journal.error("Task %s is put off: %s", claimed.id, error)
        finally:
            runner.end_child()  # nobody may ask for another task soon
            self._runners.put(runner)
        while not stored.wait(LOOK_INTERVAL):
            if self._leaving.is_set() or not self._lease.is_valid:
                break

    def leave(self) -> None:
        """Store what there is to store, and end the lease; what still runs is given back."""
        deadline = time.monotonic() + LAST_MOMENT
        self._attendants.begin_stop()
        self._recorder.stop()
        if not self._recorder.join(LAST_MOMENT):
            journal.error("Some outcomes could not be stored in time: their tasks run again")
        self._announcer.join(deadline - time.monotonic())
        self._announcer.abandon()
        self._abandon_runs()
        self._attendants.stop()
        self._attendants.join(max(deadline - time.monotonic(), 1.0))
        self._resign()
        give_up_connections()
        self._links.close()

    def _abandon_runs(self) -> None:
        """Blame nothing that still runs: this process is ended, and with it what it runs."""
        crashed = self._recorder.unstored_crashes
        for task_id in sorted(self._notes.running().difference(crashed)):
            journal.warning("Task %s still runs at the end: it goes back to the queue", task_id)
        for isolation in self._isolations:
            isolation.abandon()
        self._notes.keep(crashed)

    def _resign(self) -> None:
        """End the lease, unless there are crashes to tell of."""
        if self._recorder.unstored_crashes:
            return
        resignation = Resignation(self._outage, self._lease.server_id)
        resignation.run_guarded()
        if resignation.has_given_back:
            self._alarm.work_is_ready()
        if resignation.is_accepted:
            self._notes.remove()

    def _prepare_thread(self) -> None:
        """Make this thread's caches and connections fit for a task."""
        if (used_at := getattr(self._of_thread, "used_at", None)) is None:
            keep_caches()
        else:
            distrust_after(used_at)

    def _give_back(self, claimed: Claimed) -> None:
        self._insist.on(lambda: lifecycle.release([claimed]))
        self._alarm.work_is_ready()
        self._release_awaiting(claimed)

    def _put_off(self, claimed: Claimed) -> None:
        self._insist.on(lambda: lifecycle.postpone([claimed], PUT_OFF))
        self._release_awaiting(claimed)

    def _settled(self, outcomes: Sequence[Outcome]) -> None:
        self._attendants.admission.settled(outcomes)
        for outcome in outcomes:
            self._release_awaiting(outcome.claimed)

    def _release_awaiting(self, claimed: Claimed) -> None:
        """Let the thread go on that has run this."""
        if stored := self._awaited.pop((claimed.id, claimed.claim), None):
            stored.set()

    def _stored(self, outcomes: Sequence[Outcome]) -> None:
        self._attendants.monitor.count(outcomes)
        self._announcer.take(outcomes)


def _lease(register: Callable[[], Servers], seconds: float) -> Lease:
    """Begin a lease, of as much time as is left when the database has answered."""
    asked_at = time.monotonic()
    return Lease(register(), seconds, asked_at)


def _register(boot: UUID, places: int, seconds: float) -> Servers:
    return leases.register(
        address=ADDRESS, port=PORT, workers=places, queues=[], seconds=seconds, boot=boot
    )
