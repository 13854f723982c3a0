"""The loop that every part of the server runs in, and the Worker's turn of it."""

import logging
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import nullcontext
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

import pytest
from django.db import InterfaceError, OperationalError, connections
from django.db.backends.signals import connection_created
from django.utils import timezone

from leek import leases, outages
from leek.contracts import Pushed
from leek.database import impatient_connections, thrifty_connections
from leek.models import Servers
from leek.outcome import Claimed, Outcome, Success
from leek.policy import Terms
from leek.protocol import TAKEN, Reply, encode_word, read_reply
from leek.retry import RetryPolicy
from leek.serializer import dump_task
from leek.server import child_process, pool, recorder, registration, service
from leek.server.admission import Admission
from leek.server.alarm import Alarm
from leek.server.backlog import Backlog
from leek.server.cancelling import Cancellations
from leek.server.coroutines import Coroutines
from leek.server.executor import Attempt, Executor
from leek.server.heartbeat import Heartbeat, Lease
from leek.server.isolation import ChildLimits, Isolation
from leek.server.notes import RunningNotes
from leek.server.pace import Pace
from leek.server.pool import WorkerPool
from leek.server.recorder import Recorder
from leek.server.registration import Registration
from leek.server.rescuer import Rescuer
from leek.server.service import LateService, Outage, Service
from leek.server.spawning import spawn
from leek.server.watch import Watch
from leek.server.worker import Shared, Worker
from tests.support import GIVE_UP_AFTER, run, wait_until

FOREVER = 3600.0


class Loop(Service):
    """Does what it is given, a turn each, and then rests until it is stopped."""

    name = "loop"

    def __init__(self, *turns: Callable[[], Any], **options: Any) -> None:
        super().__init__(Outage(), **options)
        self.turns = list(turns)
        self.finished = 0

    def run_once(self) -> None:
        """Do the next turn."""
        if self.turns:
            self.turns.pop(0)()
        else:
            self.rest(FOREVER)

    def finish(self) -> None:
        """Count the ends."""
        self.finished += 1


def raising(error: Exception) -> Callable[[], None]:
    """Return a turn that fails."""

    def turn() -> None:
        raise error

    return turn


def test_stopping_is_safe_twice_and_before_the_start() -> None:
    loop = Loop()
    loop.stop()
    loop.stop()
    assert loop.join(0)
    loop.start()
    assert loop.join(60)
    loop.stop()
    assert loop.has_ended


def test_a_thread_that_the_system_refused_is_started_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Late(LateService):
        name = "late"

        def run_once(self) -> None:
            self.rest(FOREVER)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    late = Late(Outage())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            late.start_once()
    assert late.has_ended
    late.start_once()
    assert not late.has_ended
    late.stop()
    assert late.join(60)


@pytest.mark.logs_errors
@pytest.mark.parametrize(
    "error", [OperationalError("gone"), InterfaceError("closed"), ValueError("a mistake")]
)
def test_no_error_ends_the_loop(error: Exception) -> None:
    reached, ended = threading.Event(), threading.Event()
    loop = Loop(raising(error), reached.set, on_end=ended.set)
    loop.start()
    assert reached.wait(60)
    loop.stop()
    assert loop.join(60)
    assert ended.is_set()
    assert loop.finished == 1


@pytest.mark.logs_errors
def test_a_connection_that_cannot_be_mended_does_not_end_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "close_connections", raising(InterfaceError("closed")))
    reached = threading.Event()
    loop = Loop(raising(OperationalError("gone")), reached.set)
    loop.start()
    assert reached.wait(60)
    loop.stop()
    assert loop.join(60)


@pytest.mark.logs_errors
def test_an_outage_is_reported_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    reached = threading.Event()
    away = raising(OperationalError("gone away"))
    loop = Loop(away, away, away, reached.set)
    loop.hurry()
    loop.start()
    assert reached.wait(60)
    loop.stop()
    assert loop.join(60)
    assert [record.getMessage() for record in caplog.records] == [
        "The database fails: gone away. Work goes on when it is back.",
        "The database is back.",
    ]


def test_one_failure_is_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    reached = threading.Event()
    loop = Loop(raising(OperationalError("deadlock")), reached.set)
    loop.start()
    assert reached.wait(60)
    loop.stop()
    assert loop.join(60)
    assert not caplog.records


@pytest.mark.logs_errors
def test_a_failure_that_nothing_follows_is_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    class Last(Loop):
        def finish(self) -> None:
            raise OperationalError("gone away")

    loop = Last()
    loop.stop()
    loop.start()
    assert loop.join(60)
    assert "The database fails: gone away." in caplog.text


@pytest.mark.logs_errors
def test_the_end_of_an_outage_is_reported_before_a_rest(caplog: pytest.LogCaptureFixture) -> None:
    away = raising(OperationalError("gone away"))
    loop = Loop(away, away)
    loop.start()
    wait_until(lambda: "The database is back." in caplog.text, "the end of the outage")
    loop.stop()
    assert loop.join(60)


def test_a_server_registers_once_however_often_the_rescue_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter([OperationalError("deadlock"), None])

    def rescue(server: Servers, max_crashes: int) -> None:
        if error := next(answers):
            raise error

    monkeypatch.setattr(registration, "rescue_predecessors", rescue)
    registered: list[Servers] = []

    def register() -> Servers:
        registered.append(Servers(pk=7))
        return registered[-1]

    service = Registration(Outage(), register, 30, 3, on_end=lambda: None)
    service.start()
    assert service.join(60)
    assert service.lease
    assert service.lease.server is registered[0]
    assert len(registered) == 1


def have_options(
    monkeypatch: pytest.MonkeyPatch, vendor: str, given: dict[str, Any]
) -> dict[str, Any]:
    """Give the connection to a database of this kind these options, and return them."""
    connection, options = connections["default"], dict(given)
    monkeypatch.setattr(connection, "vendor", vendor)
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    return options


@pytest.mark.parametrize(
    ("given", "meanwhile"),
    [
        ({}, {"tcp_user_timeout": 2000}),
        ({"tcp_user_timeout": 5000}, {"tcp_user_timeout": 5000}),
        ({"pool": True}, {"pool": True}),
    ],
)
def test_a_site_may_say_how_long_a_host_that_does_not_answer_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], meanwhile: dict[str, Any]
) -> None:
    options = have_options(monkeypatch, "postgresql", given)
    with impatient_connections("default"):
        assert options == meanwhile
    assert options == given


@pytest.mark.parametrize(
    ("given", "meanwhile"),
    [({}, {"cached_statements": 8}), ({"cached_statements": 99}, {"cached_statements": 99})],
)
def test_a_connection_keeps_few_statements_where_the_site_does_not_say(
    given: dict[str, Any], meanwhile: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = have_options(monkeypatch, "sqlite", given)
    with thrifty_connections("default"):
        assert options == meanwhile
    assert options == given


@pytest.mark.logs_errors
def test_an_outage_is_over_when_no_service_is_affected(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage()
    outage.over("recorder")
    for name in ("recorder", "dispatcher"):
        outage.hit(name, OperationalError("gone"))
    outage.over("recorder")
    assert "The database is back." not in caplog.text
    outage.over("dispatcher")
    assert caplog.text.count("The database is back.") == 1


@pytest.mark.logs_errors
def test_an_outage_is_not_over_for_a_rescuer_that_has_only_waited(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "GRACE", 0.05)
    outage = Outage()
    rescuer = Rescuer(outage, Lease(Servers(pk=7), 30, asked_at=0), 3, lambda: None)
    said_before: list[bool] = []

    def expired(server_id: int) -> list[Servers]:
        said_before.append("The database is back." in caplog.text)
        rescuer.stop()
        return []

    monkeypatch.setattr("leek.leases.expired", expired)
    monkeypatch.setattr("leek.agenda.orphaned", lambda server_id: [])
    outage.hit("rescuer", OperationalError("gone"))
    while not rescuer.stopping.is_set():
        rescuer.run_guarded()
    assert said_before == [False]
    assert "The database is back." in caplog.text


def test_a_rest_ends_when_it_is_woken() -> None:
    rested, again = threading.Event(), threading.Event()
    loop = Loop()

    def rest() -> None:
        loop.rest(FOREVER)
        rested.set()

    loop.turns = [rest, again.set]
    loop.start()
    loop.wake()
    assert rested.wait(60)
    assert again.wait(60)
    loop.stop()
    assert loop.join(60)


class Connected(Loop):
    """Connects to the database, and then rests until it is stopped."""

    def __init__(self) -> None:
        super().__init__(self._connect)
        self.connection = connections["default"]  # the thread has another one
        self.has_connected = threading.Event()

    def _connect(self) -> None:
        self.connection = connections["default"]
        self.connection.ensure_connection()
        self.has_connected.set()

    @property
    def is_connected(self) -> bool:
        """Whether its thread has a connection to the database."""
        return self.connection.connection is not None


@pytest.mark.django_db(transaction=True)
def test_a_long_rest_is_without_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "CONNECTED_FOR", 0.01)
    loop = Connected()
    loop.start()
    assert loop.has_connected.wait(60)
    wait_until(lambda: not loop.is_connected, "the end of the connection")
    loop.stop()
    assert loop.join(60)


@pytest.mark.django_db(transaction=True)
def test_what_renews_the_lease_stays_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others might take the last connection of the database meanwhile."""
    monkeypatch.setattr(service, "CONNECTED_FOR", 0.01)
    made: SimpleQueue[Any] = SimpleQueue()

    def note(connection: Any, **_: Any) -> None:
        made.put(connection)

    server = leases.register(address="here", port=1, workers=1, queues=None, seconds=3600)
    heartbeat = Heartbeat(Outage(), Lease(server, 3600, 0), lambda: server)
    connection_created.connect(note)
    try:
        heartbeat.start()
        its_connection = made.get(timeout=60)
        other = Connected()
        other.start()
        assert other.has_connected.wait(60)
        wait_until(lambda: not other.is_connected, "the end of the other connection")
        assert its_connection.connection is not None
    finally:
        connection_created.disconnect(note)
        for each in (heartbeat, other):
            each.stop()
            assert each.join(60)


class Bench:
    """A Worker, and what it is given and gives."""

    def __init__(self, seconds_left: float) -> None:
        server = Servers(pk=7, boot=uuid4())
        self.backlog = Backlog()
        self.outcomes: list[Outcome] = []
        self.given_back: list[Claimed] = []
        self.put_off: list[Claimed] = []
        self.handed_over: list[Attempt] = []
        self.is_stopping = False
        self.lease = Lease(server, seconds_left, asked_at=1e12 if seconds_left else -1e12)
        self.shared = Shared(
            self.lease,
            executor := Executor(Terms(RetryPolicy(1, 0, 0)), "auto", 0),
            admission := Admission(
                Watch(Outage(), lambda *change: None), nullcontext(), lambda: None
            ),
            nullcontext(),
            False,
            RunningNotes(server.boot, 2),
            on_outcome=self.outcomes.append,
            give_back=self.given_back.append,
            put_off=self.put_off.append,
            cancellations=Cancellations(self.backlog, self.outcomes.append, lambda claimed: None),
            backlog=self.backlog,
            pace=Pace(1),
            on_ended=lambda claimed: None,
        )
        self.isolation = Isolation(executor, admission, ChildLimits())
        self.worker = Worker(Outage(), self.shared, self.isolation, self.hand_over, 0, lambda: None)
        self.shared.notes.remove()

    def hand_over(self, attempt: Attempt) -> bool:
        """Take an async task, unless it is too late."""
        if not self.is_stopping:
            self.handed_over.append(attempt)
        return not self.is_stopping

    def work_on(
        self,
        path: str = "builtins.len",
        args: tuple[Any, ...] = ([],),
        *,
        owner: int = 7,
        crashes: int = 0,
    ) -> Claimed:
        """Have the Worker take a task that this server claimed under some lease."""
        payload = dump_task(path, args, {}, "auto")
        claimed = Claimed(
            1, path, payload, 0, 0, crashes, None, False, 0.0, timezone.now(), owner, 1
        )
        self.backlog.put([claimed])
        thread = threading.Thread(target=self.worker.run_guarded)  # which has no connections yet
        thread.start()
        thread.join()
        return claimed


def test_a_worker_runs_what_its_servers_lease_covers() -> None:
    bench = Bench(seconds_left=30)
    claimed = bench.work_on()
    (outcome,) = bench.outcomes
    assert isinstance(outcome, Success)
    assert outcome.claimed == claimed
    assert bench.backlog.unfinished == 0


@pytest.mark.parametrize(("seconds_left", "owner"), [(0, 7), (30, 6)])
def test_a_worker_gives_back_what_another_server_may_have_taken(
    seconds_left: float, owner: int
) -> None:
    bench = Bench(seconds_left)
    claimed = bench.work_on(owner=owner)
    assert bench.outcomes == []
    assert bench.given_back == [claimed]
    assert bench.backlog.unfinished == 0


@pytest.mark.logs_errors
def test_a_worker_that_is_not_to_wait_for_a_child_process_starts_none() -> None:
    bench = Bench(seconds_left=30)
    bench.worker.stop_waiting()
    claimed = bench.work_on(crashes=1)
    assert (bench.outcomes, bench.given_back, bench.put_off) == ([], [claimed], [])
    assert bench.backlog.unfinished == 0


@pytest.mark.logs_errors
def test_a_worker_puts_off_what_needs_a_child_process_that_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def spawn_none(module: str, *shared: int) -> Any:
        return spawn("no.such.module", *shared, stderr=subprocess.DEVNULL)

    monkeypatch.setattr(child_process, "spawn", spawn_none)
    bench = Bench(seconds_left=30)
    claimed = bench.work_on(crashes=1)
    assert (bench.outcomes, bench.given_back, bench.put_off) == ([], [], [claimed])


def test_a_worker_hands_an_async_task_over_and_is_free() -> None:
    bench = Bench(seconds_left=30)
    claimed = bench.work_on("tests.site.tasks.add_slowly", (1, 2))
    (attempt,) = bench.handed_over
    assert (attempt.claimed, attempt.task.args) == (claimed, (1, 2))
    assert not bench.outcomes
    assert not bench.given_back
    assert bench.backlog.unfinished == 0


def test_a_worker_gives_an_async_task_back_that_may_not_begin_any_more() -> None:
    bench = Bench(seconds_left=30)
    bench.is_stopping = True
    claimed = bench.work_on("tests.site.tasks.add_slowly", (1, 2))
    assert bench.given_back == [claimed]
    assert not bench.outcomes
    assert not bench.handed_over
    assert bench.backlog.unfinished == 0


class LoopBench(Bench):
    """The event loop for one task at a time, with a recorder that stores nothing."""

    def __init__(self) -> None:
        super().__init__(seconds_left=30)
        self.recorder = Recorder(
            Outage(),
            self.lease,
            Alarm(),
            nullcontext(),
            self.shared.admission.settled,
            lambda outcomes: None,
        )
        self.coroutines = Coroutines(
            Outage(), self.shared, self.recorder, limit=1, first_place=1, on_end=lambda: None
        )
        self.coroutines.start()

    def __enter__(self) -> "LoopBench":
        return self

    def __exit__(self, *error: object) -> None:
        self.coroutines.stop()
        self.recorder.stop()
        assert self.coroutines.join(60)

    def attempt(self) -> Attempt:
        """Have a Worker take an async task, and return it as it is handed over."""
        self.work_on("tests.site.tasks.add_slowly", (1, 2))
        return self.handed_over.pop()

    def is_done(self) -> bool:
        """Tell whether nothing runs and nothing is noted as running."""
        return self.backlog.is_done and not self.shared.notes.running()


@pytest.mark.django_db
@pytest.mark.logs_errors
def test_all_is_stored_only_when_it_is_told_what_ended() -> None:
    bench = Bench(seconds_left=30)
    bench.work_on()
    told: list[bool] = []
    keeper = Recorder(
        Outage(),
        bench.lease,
        Alarm(),
        nullcontext(),
        lambda outcomes: told.append(keeper.is_all_stored),
        lambda outcomes: None,
    )
    keeper.take(*bench.outcomes)
    keeper.run_once()
    assert told == [False]
    assert keeper.is_all_stored


def test_the_event_loop_hands_on_how_a_task_ended() -> None:
    with LoopBench() as bench:
        assert bench.coroutines.run(bench.attempt())
        wait_until(bench.is_done)
        assert bench.recorder.handled == 1
        assert not bench.given_back


def test_the_event_loop_gives_back_what_the_database_kept_from_beginning() -> None:
    class Away(Pushed):
        async def begin_in_loop(self, *beginning: Any) -> Any:
            raise OperationalError("gone away")

    with LoopBench() as bench:
        attempt = bench.attempt()._replace(contract=Away())
        assert bench.coroutines.run(attempt)
        wait_until(bench.is_done)
        assert bench.given_back == [attempt.claimed]
        assert bench.recorder.handled == 0


def test_the_event_loop_gives_back_what_another_server_may_have_taken_meanwhile() -> None:
    with LoopBench() as bench:
        attempt = bench.attempt()
        bench.lease.renewed(asked_at=-1e12)
        assert bench.coroutines.run(attempt)
        wait_until(bench.is_done)
        assert bench.given_back == [attempt.claimed]
        assert bench.recorder.handled == 0


def test_nothing_is_begun_while_the_recorder_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MOST_KEPT", 1)
    with LoopBench() as bench:
        assert bench.coroutines.run(bench.attempt())
        wait_until(lambda: bench.recorder.handled == 1)
        worker = threading.Thread(target=bench.coroutines.run, args=[bench.attempt()])
        worker.start()
        wait_until(bench.is_done)
        assert worker.is_alive()
        bench.recorder.stop()  # now it keeps all that comes
        worker.join()
        wait_until(lambda: bench.recorder.handled == 2)


def test_an_event_loop_that_was_stopped_begins_nothing() -> None:
    with LoopBench() as bench:
        attempt = bench.attempt()
        bench.coroutines.stop()
        assert not bench.coroutines.run(attempt)


def test_an_event_loop_may_be_stopped_before_it_starts_and_twice() -> None:
    bench = Bench(seconds_left=30)
    loop = Coroutines(
        Outage(),
        bench.shared,
        Recorder(
            Outage(),
            bench.lease,
            Alarm(),
            nullcontext(),
            lambda outcomes: None,
            lambda outcomes: None,
        ),
        limit=1,
        first_place=1,
        on_end=lambda: None,
    )
    loop.stop()
    loop.start()
    assert loop.join(60)
    loop.stop()
    loop.abandon()


def test_a_service_that_fails_again_is_told_of_after_its_return(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    works = iter([False, True])
    told: list[str] = []

    def check(service: str) -> None:
        if not next(works, False):
            raise ConnectionRefusedError

    def note(service: str, reason: str | None) -> None:
        if reason is None:
            again.start()
            again.join(0.5)  # were it not kept waiting, it would tell meanwhile
        told.append("down" if reason else "back")

    monkeypatch.setattr(outages, "check", check)
    watch = Watch(Outage(), note)
    again = threading.Thread(target=watch.first_down, args=[("smtp",)], kwargs={"anew": True})
    assert watch.first_down(("smtp",)) == "smtp"
    wait_until(lambda: len(told) == 3, "the changes")
    again.join()
    watch.stop()
    watch.join(60)
    assert told == ["down", "back", "down"]


@pytest.mark.django_db(transaction=True)
def test_a_server_says_that_it_stops_when_it_begins_nothing_any_more(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begin_stop, was_said = WorkerPool.begin_stop, []

    def look_and_begin(self: WorkerPool) -> None:
        was_said.append("Stopping" in caplog.text)
        begin_stop(self)

    monkeypatch.setattr(WorkerPool, "begin_stop", look_and_begin)
    with caplog.at_level(logging.INFO, "leek"):
        run("leek_server", "--drain")
    assert was_said == [False]
    assert "Stopping" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_stopped_server_has_closed_all_its_connections(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Python closes at its end makes SQLite warn, and PostgreSQL log a lost client."""
    monkeypatch.setattr(pool, "LAST_MOMENT", GIVE_UP_AFTER)  # a busy machine may need longer
    has_stopped = threading.Event()
    give_up_connections = service.give_up_connections

    def give_up_slowly() -> None:
        if threading.current_thread().name in ("leek-heartbeat", "leek-rescuer"):
            has_stopped.wait(0.2)
        give_up_connections()

    monkeypatch.setattr(service, "give_up_connections", give_up_slowly)
    run("leek_server", "--drain", "-v0")
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("leek-")]
    has_stopped.set()
    assert left == []


@pytest.mark.django_db(transaction=True)
def test_a_server_takes_offers_from_before_it_claims(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Reply] = []
    start = WorkerPool.start

    def be_offered_work_and_start(self: WorkerPool) -> None:
        with socket.create_connection(("127.0.0.1", port), GIVE_UP_AFTER) as sibling:
            sibling.sendall(encode_word("offer"))
            answers.append(read_reply(sibling.makefile("rb")))
        start(self)

    monkeypatch.setattr(WorkerPool, "start", be_offered_work_and_start)
    run("leek_server", "--drain", "-v0")
    assert answers == [TAKEN]
