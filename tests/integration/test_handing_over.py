"""Celery as the engine: what is claimed is relayed, and taken over by who runs it.

The broker is a folder; Celery's end is this process, or a worker of Celery's.
"""

import base64
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connections
from django.test import override_settings
from django.utils import timezone

from leek import agenda, checks, leases, lifecycle, status
from leek.api import push_many, push_task_to_queue, using
from leek.celery import members, relay_pool
from leek.celery.apps import own_app
from leek.celery.broker import Broker, QueueRefused
from leek.celery.takeovers import Takeovers
from leek.celery.window import LEAST
from leek.explaining import explain
from leek.models import FailedTasks, QueuedTasks, Servers, State, SuccessTasks
from leek.outcome import Claimed, Failure, Outcome, cancelled
from leek.server.configured import pool_options
from leek.server.forwarder import Forwarder
from leek.server.heartbeat import Lease
from leek.server.service import Outage
from tests.conftest import StartServer
from tests.site import tasks
from tests.site.models import Runs
from tests.support import ROOT, LeekServer, environment, manage, wait_until

RELAYED = tuple[int, int, int]  # task, owner, claim
CELERY = {"LEEK_ENGINE": "celery", "LEEK_CELERY_APP": "tests.site.celery_app:app"}


def a_server(port: int = 1, workers: int = 0) -> int:
    """Return the id of a new server, which relays if it has no Workers."""
    return leases.register(
        address="127.0.0.1", port=port, workers=workers, queues=None, seconds=30
    ).pk


def claimed_by(relay: int) -> Claimed:
    """Push a task, and return it as this server has claimed it."""
    push_task_to_queue(tasks.noop)
    (claimed,) = lifecycle.claim(relay, 1, 1, None)
    return claimed


@pytest.mark.django_db
class TestTakingOver:
    """The claim of one server becomes another's."""

    def test_makes_the_claim_that_of_who_takes_it(self) -> None:
        relay, member = a_server(1), a_server(2, workers=1)
        claimed = claimed_by(relay)
        taken = lifecycle.take_over(claimed.id, relay, 1, server_id=member, number=7)
        assert taken is not None
        assert (taken.id, taken.payload, taken.owner, taken.claim) == (
            claimed.id,
            claimed.payload,
            member,
            7,
        )
        row = QueuedTasks.objects.get()
        assert (row.state, row.owner_id, row.claim) == (State.RUNNING, member, 7)
        assert agenda.claimed_by(relay) == set()
        assert agenda.claimed_by(member) == {(claimed.id, 7)}

    def test_is_done_once_for_each_message(self) -> None:
        relay, first, second = a_server(1), a_server(2, 1), a_server(3, 1)
        claimed = claimed_by(relay)
        assert lifecycle.take_over(claimed.id, relay, 1, server_id=first, number=1)
        assert not lifecycle.take_over(claimed.id, relay, 1, server_id=second, number=1)
        assert QueuedTasks.objects.get().owner_id == first

    def test_is_refused_to_a_message_of_an_earlier_claim(self) -> None:
        relay, member = a_server(1), a_server(2, 1)
        lifecycle.release([claimed_by(relay)])
        (again,) = lifecycle.claim(relay, 2, 1, None)
        assert not lifecycle.take_over(again.id, relay, 1, server_id=member, number=1)
        assert lifecycle.take_over(again.id, relay, 2, server_id=member, number=1)

    def test_is_refused_after_a_cancellation(self) -> None:
        relay, member = a_server(1), a_server(2, 1)
        claimed = claimed_by(relay)
        lifecycle.release([claimed])
        assert lifecycle.cancel(claimed.id)
        assert not lifecycle.take_over(claimed.id, relay, 1, server_id=member, number=1)
        assert QueuedTasks.objects.get().state == State.FAILED

    def test_of_what_a_dead_relay_had_is_refused_when_it_was_rescued(self) -> None:
        relay, member = a_server(1), a_server(2, 1)
        claimed = claimed_by(relay)
        dead = Servers.objects.get(pk=relay)
        lifecycle.rescue(dead, (), 3, even_if_renewed=True)
        row = QueuedTasks.objects.get()
        assert (row.state, row.suspect, row.crashes) == (State.READY, False, 0)
        assert not lifecycle.take_over(claimed.id, relay, 1, server_id=member, number=1)


@pytest.mark.django_db(transaction=True)
def test_of_two_that_take_over_at_the_same_time_one_has_it() -> None:
    relay = a_server(1)
    takers = [a_server(port, 1) for port in (2, 3, 4, 5)]
    claimed, taken = claimed_by(relay), []
    start = threading.Barrier(len(takers))

    def take(member: int) -> None:
        start.wait(60)
        taken.append(lifecycle.take_over(claimed.id, relay, 1, server_id=member, number=1))
        connections.close_all()

    threads = [threading.Thread(target=take, args=[member]) for member in takers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (winner,) = [each for each in taken if each]
    assert QueuedTasks.objects.get().owner_id == winner.owner


@pytest.mark.django_db
class TestLooking:
    """What people are told of what is relayed."""

    def test_what_is_relayed_waits(self) -> None:
        claimed_by(a_server(1))
        figures = status.figures()
        assert (figures.waiting, figures.running) == (1, 0)

    def test_what_was_taken_over_runs(self) -> None:
        relay, member = a_server(1), a_server(0, 1)
        claimed = claimed_by(relay)
        lifecycle.take_over(claimed.id, relay, 1, server_id=member, number=1)
        figures = status.figures()
        assert (figures.waiting, figures.running) == (0, 1)

    def test_a_task_that_has_not_begun_says_so(self) -> None:
        relay = Servers.objects.get(pk=a_server(1))
        told = explain(claimed_by(relay.pk).id, lambda: True)
        assert told.reason == "relayed"
        assert told.explanation == f"handed to Celery by {relay}, not begun, attempt 1"

    def test_a_task_behind_those_that_are_not_begun_says_so(self) -> None:
        claimed_by(a_server(1))
        row = push_task_to_queue(tasks.noop)
        told = explain(row.pk, lambda: True)
        waiting = "waiting: of its queue, 1 wait at Celery and are not begun"
        assert (told.reason, told.explanation) == ("in_line", waiting)

    def test_the_text_tells_relays_and_celerys_processes_from_servers(self) -> None:
        a_server(1)
        a_server(0, 4)
        printed = StringIO()
        with suppress(SystemExit, CommandError):
            call_command("leek_status", stdout=printed, stderr=StringIO())
        assert ": relays to Celery, all queues, 0 task(s)" in printed.getvalue()
        assert " Celery, process " in printed.getvalue()
        assert ": 4 Worker(s), 0 task(s)" in printed.getvalue()

    def test_a_process_of_celerys_serves_no_queue_by_itself(self) -> None:
        a_server(0, 4)
        row = push_task_to_queue(tasks.noop)
        assert explain(row.pk, lambda: True).reason == "no_server"


# Settings and flags


@pytest.mark.parametrize("name", ["json", "application/json"])
def test_an_app_that_accepts_json_is_fine(
    monkeypatch: pytest.MonkeyPatch, settings: Any, name: str
) -> None:
    settings.CELERY_ACCEPT_CONTENT = ["pickle", name]
    own_app.cache_clear()
    with override_settings(TASKS_QUEUE={"ENGINE": "celery"}):
        assert checks.check_engine() == []
    own_app.cache_clear()


def test_an_app_that_accepts_no_json_is_reported(settings: Any) -> None:
    settings.CELERY_ACCEPT_CONTENT = ["pickle"]
    own_app.cache_clear()
    with override_settings(TASKS_QUEUE={"ENGINE": "celery"}):
        (wrong,) = checks.check_engine()
    own_app.cache_clear()
    assert (wrong.id, "CELERY_ACCEPT_CONTENT" in str(wrong.hint)) == ("leek.E009", True)


@pytest.mark.parametrize(("given", "queue"), [({}, "leek"), ({"QUEUE": "mine"}, "mine")])
def test_leeks_own_app_has_a_queue_of_its_own(
    settings: Any, given: dict[str, str], queue: str
) -> None:
    for name, value in given.items():
        setattr(settings, f"CELERY_TASK_DEFAULT_{name}", value)
    own_app.cache_clear()
    app = own_app()
    own_app.cache_clear()
    assert app.conf.task_default_queue == queue
    assert list(app.amqp.queues) == [queue]


@pytest.mark.parametrize("flag", ["--workers=2", "--isolate", "--max-tasks=9", "--max-memory=9"])
@override_settings(TASKS_QUEUE={"ENGINE": "celery"})
def test_flags_of_workers_are_refused(flag: str) -> None:
    with pytest.raises(CommandError, match=f"^{flag.partition('=')[0]} is about Workers"):
        call_command("leek_server", flag)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("no.such.app:app", "which does not import"),
        ("tests.site.tasks:noop", "which is no Celery app"),
    ],
)
def test_an_app_that_is_none_is_reported(path: str, problem: str) -> None:
    with override_settings(TASKS_QUEUE={"ENGINE": "celery", "CELERY_APP": path}):
        (wrong,) = checks.check_engine()
    assert (wrong.id, path in wrong.msg, problem in wrong.msg) == ("leek.E009", True, True)


def test_celery_that_is_not_installed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "celery.app.utils", None)
    with override_settings(TASKS_QUEUE={"ENGINE": "celery"}):
        (wrong,) = checks.check_engine()
    assert wrong.hint == "pip install django-leek[celery]"


def test_leeks_own_engine_needs_no_celery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "celery", None)
    assert checks.check_engine() == []


# A member in this process, and a relay in its own


@pytest.fixture
def run_here(
    monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> Iterator[Callable[..., bool]]:
    """Return what runs a relayed task in this process; false where the message is out of date."""
    yield lambda *message: members.begin(*message).wait()
    members.leave()
    connections.close_all()


def fail_at_first(action: Callable[..., Any], times: int) -> Callable[..., Any]:
    """Return what fails so often as a database would, and then does the action."""
    left = itertools.repeat(OperationalError("deadlock"), times)

    def act(*arguments: Any, **options: Any) -> Any:
        for error in left:
            raise error
        return action(*arguments, **options)

    return act


def test_a_message_is_obeyed_although_the_database_fails_once(
    run_here: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = claimed_by(a_server())
    monkeypatch.setattr(lifecycle, "take_over", fail_at_first(lifecycle.take_over, 1))
    assert run_here(claimed.id, claimed.owner, claimed.claim)
    assert SuccessTasks.objects.count() == 1


@pytest.mark.logs_errors
def test_a_message_waits_while_the_database_is_away(
    run_here: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = claimed_by(a_server())
    monkeypatch.setattr(leases, "register", fail_at_first(leases.register, 3))
    assert run_here(claimed.id, claimed.owner, claimed.claim)
    assert SuccessTasks.objects.count() == 1


def test_what_still_runs_when_a_process_leaves_goes_back_at_no_cost(
    run_here: Callable[..., bool], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    push_task_to_queue(tasks.wait_for, str(gate))
    relay = a_server()
    (claimed,) = lifecycle.claim(relay, 1, 1, None)
    run = members.begin(claimed.id, relay, 1)
    wait_until(Path(f"{gate}.begun").exists, "the start of the task")
    members.leave()
    row = QueuedTasks.objects.get()
    assert (row.state, row.tries, row.crashes, row.suspect) == (State.READY, 0, 0, False)
    gate.touch()
    run.wait()
    assert not SuccessTasks.objects.exists()


def test_celerys_thread_keeps_no_connection_with_which_celery_could_close_a_pool(
    run_here: Callable[..., bool],
) -> None:
    from leek.celery.tasks import run

    claimed = claimed_by(a_server())
    connections.close_all()
    assert connections.all(initialized_only=True)
    run(claimed.id, claimed.owner, claimed.claim)
    assert not connections.all(initialized_only=True)
    assert SuccessTasks.objects.count() == 1


@pytest.mark.logs_errors
def test_a_process_that_ends_waits_for_no_database(
    run_here: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = claimed_by(a_server())
    tried = threading.Event()

    def fail(**options: Any) -> Servers:
        tried.set()
        raise OperationalError("away")

    monkeypatch.setattr(leases, "register", fail)
    run = members.begin(claimed.id, claimed.owner or 0, claimed.claim)
    assert tried.wait(60)
    members.leave()
    with pytest.raises(OperationalError, match="away"):
        run.wait()


def test_a_process_runs_one_suspect_at_a_time(
    run_here: Callable[..., bool], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(members, "_worker", SimpleNamespace(pool_cls="threads", concurrency=2))
    relay, gate = a_server(), tmp_path / "gate"
    push_many([(tasks.wait_for, (str(gate),), {})] * 2)
    first, second = lifecycle.claim(relay, 1, 2, None)
    QueuedTasks.objects.update(suspect=True)
    run = members.begin(first.id, relay, 1)
    wait_until(Path(f"{gate}.begun").exists, "the start of the first")
    assert run_here(second.id, relay, 1)
    row = QueuedTasks.objects.get(pk=second.id)
    assert (row.state, row.suspect) == (State.DEFERRED, True)
    gate.touch()
    assert run.wait()
    assert SuccessTasks.objects.get().task_id == first.id


class Folder:
    """A broker that is a folder, and the messages there."""

    def __init__(self, folder: Path) -> None:
        self.environment = {**CELERY, "TESTS_BROKER": str(folder)}
        self._messages = folder / "messages"

    def queues(self) -> list[str]:
        """Return the names of the queues of all messages, the first one first."""
        return [path.name.split(".")[1] for path in self._files()]

    def messages(self) -> list[RELAYED]:
        """Return what the messages name."""
        texts = [path.read_text() for path in self._files()]
        bodies = [json.loads(text)["body"] for text in texts if text.endswith("}")]  # as a whole
        return [tuple(json.loads(base64.b64decode(body))[0]) for body in bodies]

    def begin_message(self) -> None:
        """Have a message that is never written."""
        (self._messages / "0_begun.celery.msg").touch()

    def lose_all(self) -> None:
        """Forget the messages."""
        for path in self._files():
            path.unlink()

    def _files(self) -> list[Path]:
        return sorted(self._messages.glob("*.msg"), key=lambda path: path.name)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return the broker."""
    return Folder(tmp_path / "broker")


@pytest.fixture
def relay(start_server: StartServer, folder: Folder) -> LeekServer:
    """Return a server that relays."""
    return start_server("-v2", **folder.environment)


@pytest.fixture
def impatient_relay(start_server: StartServer, folder: Folder) -> LeekServer:
    """Return a server that relays; what is not begun, soon anew."""
    return start_server("-v2", **folder.environment, LEEK_RELAY_TIMEOUT="1")


def test_a_relayed_task_runs_where_its_message_arrives(
    relay: LeekServer, folder: Folder, run_here: Callable[..., bool]
) -> None:
    row = push_task_to_queue(tasks.add, 1, 2)
    (message,) = wait_until(folder.messages, "a message")
    assert message[0] == row.pk
    assert run_here(*message)
    assert row.wait(60) == 3
    assert not run_here(*message)
    assert SuccessTasks.objects.count() == 1


def test_a_lost_message_is_replaced_and_out_of_date(
    impatient_relay: LeekServer, folder: Folder, run_here: Callable[..., bool]
) -> None:
    row = push_task_to_queue(tasks.add, 1, 2)
    lost, *_ = wait_until(folder.messages, "a message")
    folder.lose_all()
    message, *_ = wait_until(folder.messages, "another message")
    assert (message[0], message[2] > lost[2]) == (lost[0], True)
    assert not run_here(*lost)
    wait_until(lambda: any(run_here(*each) for each in folder.messages()), "the run")
    assert row.wait(60) == 3


def test_queues_are_celerys_but_for_the_default_one(relay: LeekServer, folder: Folder) -> None:
    push_task_to_queue(tasks.noop)
    using(queue="mail").push(tasks.noop)
    wait_until(lambda: len(folder.messages()) == 2, "two messages")
    assert sorted(folder.queues()) == ["celery", "mail"]


def test_a_task_that_waits_in_the_broker_can_be_cancelled(
    relay: LeekServer, folder: Folder, run_here: Callable[..., bool]
) -> None:
    row = push_task_to_queue(tasks.noop)
    (message,) = wait_until(folder.messages, "a message")
    assert row.cancel()
    assert FailedTasks.objects.get().exception_message == "cancelled before it began"
    assert not run_here(*message)
    assert "(True, 0)" in manage("leek_status", "handled", LEEK_TASKS_PORT=str(relay.port)).stdout


def test_a_stop_gives_back_what_was_not_begun(
    relay: LeekServer, folder: Folder, run_here: Callable[..., bool]
) -> None:
    push_task_to_queue(tasks.noop)
    (message,) = wait_until(folder.messages, "a message")
    assert relay.terminate() == 0
    assert QueuedTasks.objects.get().state == State.READY
    assert not run_here(*message)


def test_a_failed_task_is_relayed_again_when_it_is_due(
    relay: LeekServer, folder: Folder, run_here: Callable[..., bool]
) -> None:
    row = push_task_to_queue(tasks.fail)
    (message,) = wait_until(folder.messages, "a message")
    folder.lose_all()
    assert run_here(*message)
    assert SuccessTasks.objects.count() == FailedTasks.objects.count() == 0
    (again,) = wait_until(folder.messages, "another message")
    row.refresh_from_db()
    assert (again[0], row.tries) == (row.pk, 1)


@pytest.mark.logs_errors
def test_what_comes_back_at_once_does_not_hold_up_the_end(
    start_server: StartServer, folder: Folder, run_here: Callable[..., bool]
) -> None:
    row = using(max_retries=8, retry_delay=0).push(tasks.fail)
    relay = start_server("--drain", **folder.environment)
    for _ in range(8):
        (message,) = wait_until(folder.messages, "a message")
        folder.lose_all()
        assert run_here(*message)
    assert FailedTasks.objects.get().task_id == row.pk
    assert relay.wait() == 0


@pytest.mark.logs_errors
def test_a_broker_that_is_away_keeps_tasks_waiting_and_holds_up_no_stop(
    start_server: StartServer, folder: Folder, tmp_path: Path
) -> None:
    relay = start_server(**folder.environment)
    (tmp_path / "broker" / "messages").rename(tmp_path / "broker" / "gone")
    push_many([(tasks.noop, (), {})] * 5)
    wait_until(lambda: "takes no messages" in relay.log, "a word of it")
    (tmp_path / "broker" / "gone").rename(tmp_path / "broker" / "messages")
    wait_until(lambda: len({task for task, *_ in folder.messages()}) == 5, "all messages")
    assert relay.log.count("takes no messages") == relay.log.count("takes messages again") == 1
    assert relay.terminate() == 0


@pytest.mark.logs_errors
def test_a_broker_that_comes_back_empty_gets_what_it_had_at_once(
    start_server: StartServer, folder: Folder, tmp_path: Path
) -> None:
    relay, broker = start_server(**folder.environment), tmp_path / "broker"
    first = push_task_to_queue(tasks.noop)
    (lost,) = wait_until(folder.messages, "a message")
    (broker / "messages").rename(broker / "gone")
    second = push_task_to_queue(tasks.noop)
    wait_until(lambda: "takes no messages" in relay.log, "a word of it")
    (broker / "messages").mkdir()
    wait_until(lambda: len(folder.messages()) == 2, "both messages")
    assert {task for task, *_ in folder.messages()} == {first.pk, second.pk}
    assert lost not in folder.messages()


@pytest.mark.logs_errors
def test_a_task_that_the_broker_does_not_take_can_be_cancelled(
    start_server: StartServer, folder: Folder, tmp_path: Path
) -> None:
    relay, broker = start_server(**folder.environment), tmp_path / "broker"
    (broker / "messages").rename(broker / "gone")
    row = push_task_to_queue(tasks.noop)
    wait_until(lambda: "takes no messages" in relay.log, "a word of it")
    assert row.cancel()
    assert FailedTasks.objects.get().exception_message == "cancelled before it began"
    (broker / "gone").rename(broker / "messages")
    other = push_task_to_queue(tasks.noop)
    ((task, *_),) = wait_until(folder.messages, "a message")
    assert task == other.pk


def test_a_queue_whose_tasks_are_not_begun_holds_up_no_other(
    impatient_relay: LeekServer, folder: Folder, run_here: Callable[..., bool]
) -> None:
    using(queue="reports").push_many([(tasks.noop, (), {})] * (LEAST + 20))
    wait_until(lambda: len(folder.messages()) >= LEAST, "as many messages as may wait")
    row = push_task_to_queue(tasks.noop)

    def is_run() -> bool:
        return any(run_here(*each) for each in folder.messages() if each[0] == row.pk)

    wait_until(is_run, "the run of a task of another queue")
    wait_until(lambda: "-Q reports" in impatient_relay.log, "a word of what is not begun")
    before = len(folder.messages())
    wait_until(lambda: len(folder.messages()) > before, "one more message")
    running = QueuedTasks.objects.running().filter(queue="reports")
    wait_until(lambda: running.count() == 1, "one that is tried alone")
    assert impatient_relay.log.count("-Q reports") == 1


@pytest.mark.logs_errors
def test_a_queue_that_the_broker_refuses_holds_up_no_other(
    start_server: StartServer, folder: Folder
) -> None:
    relay = start_server(**folder.environment, TESTS_CREATE_QUEUES="0")
    refused = using(queue="reports").push_many([(tasks.noop, (), {})] * 3)
    wait_until(lambda: 'no messages for the queue "reports"' in relay.log, "a word of it")
    row = push_task_to_queue(tasks.noop)
    ((task, *_),) = wait_until(folder.messages, "a message")
    assert task == row.pk
    wait_until(lambda: not QueuedTasks.objects.running().filter(queue="reports"), "a return")
    assert relay.log.count("takes no messages") == 1
    assert refused[0].cancel()
    assert relay.terminate() == 0


@pytest.mark.parametrize("kind", ["redis", "amqp"])
def test_a_broker_that_does_not_answer_is_asked_once_for_each_message(kind: str) -> None:
    now = timezone.now()
    claimed = Claimed(1, "task", "", 0, 0, 0, None, False, 0.0, now, owner=1, claim=1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        app = Celery(broker=f"{kind}://{host}:{port}", set_as_current=False)
        with pytest.raises(Exception, match=r"timed out|Timeout") as caught:
            Broker(app).send(claimed, "default")
        assert not isinstance(caught.value, QueueRefused)
        silent.accept()[0].close()
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()


# A worker of Celery's


@pytest.fixture
def start_worker(folder: Folder, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Return a function that starts a worker, and returns its log; it is ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> Path:
        log = tmp_path / f"worker-{len(started)}.log"
        command = [sys.executable, "-m", "celery", "-A", "tests.site.celery_app", "worker"]
        with log.open("w") as stream:
            started.append(
                subprocess.Popen(
                    [*command, "--loglevel=INFO", "--without-mingle", *arguments],
                    env=environment(**folder.environment, PYTHONWARNINGS="default"),
                    cwd=ROOT,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        return log

    yield start
    for worker in started:
        worker.terminate()
        try:
            worker.wait(60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)


@pytest.mark.any_version
@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_celerys_worker_runs_what_is_pushed(
    impatient_relay: LeekServer, folder: Folder, start_worker: Callable[..., Path], pool: str
) -> None:
    folder.begin_message()
    start_worker(f"--pool={pool}", "--concurrency=2")
    row, coroutine = push_task_to_queue(tasks.add, 1, 2), push_task_to_queue(tasks.add_slowly, 3, 4)
    assert (row.wait(60), coroutine.wait(60)) == (3, 7)
    assert Servers.objects.filter(port=0).exists()
    told = manage("leek_status", LEEK_TASKS_PORT=str(impatient_relay.port)).stdout
    assert "Celery, process" in told


# Suspects


def push_suspects(queue: str, number: int) -> list[QueuedTasks]:
    """Push tasks as they are after the death of a server of which nobody knows what it ran."""
    rows = using(queue=queue).push_many([(tasks.noop, (), {})] * number)
    of_queue = QueuedTasks.objects.filter(pk__in=[row.pk for row in rows])
    of_queue.update(state=State.DEFERRED, suspect=True)
    return rows


def test_a_suspect_of_a_queue_that_nobody_serves_holds_up_no_other(
    transactional_db: None,
    start_server: StartServer,
    folder: Folder,
    run_here: Callable[..., bool],
) -> None:
    unserved = {row.pk for row in push_suspects("reports", 2)}
    rows = push_suspects("default", 3)
    start_server(**folder.environment, LEEK_RELAY_TIMEOUT="1")

    def runs_one() -> bool:  # be it by a message that has replaced another
        return any(run_here(*each) for each in folder.messages() if each[0] not in unserved)

    for _ in rows:
        wait_until(runs_one, "a message that holds")
    assert [row.wait(60) for row in rows] == [None] * 3


# A process that ends while it takes a task


def test_a_process_that_ends_while_it_joins_runs_nothing(
    run_here: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = claimed_by(a_server())
    joining, has_left = threading.Event(), threading.Event()
    register = leases.register

    def register_late(**options: Any) -> Servers:
        joining.set()
        assert has_left.wait(60)
        return register(**options)

    monkeypatch.setattr(leases, "register", register_late)
    run = members.begin(claimed.id, claimed.owner or 0, claimed.claim)
    assert joining.wait(60)
    members.leave()
    has_left.set()
    with pytest.raises(members.ProcessEnds):
        run.wait()
    assert not Servers.objects.filter(port=0).exists()
    row = QueuedTasks.objects.get()
    assert (row.owner_id, row.claim, row.crashes) == (claimed.owner, claimed.claim, 0)
    assert not SuccessTasks.objects.exists()


def test_a_process_that_ends_while_it_takes_a_task_over_gives_it_back(
    run_here: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    push_task_to_queue(tasks.record, "late")
    (claimed,) = lifecycle.claim(a_server(), 1, 1, None)
    has_taken, has_left = threading.Event(), threading.Event()
    take = Takeovers.take

    def take_slowly(self: Takeovers, *message: int) -> Claimed | None:
        taken = take(self, *message)
        has_taken.set()
        assert has_left.wait(60)
        return taken

    monkeypatch.setattr(Takeovers, "take", take_slowly)
    run = members.begin(claimed.id, claimed.owner or 0, claimed.claim)
    assert has_taken.wait(60)
    members.leave()
    has_left.set()
    assert not run.wait()
    row = QueuedTasks.objects.get()
    assert (row.state, row.owner_id, row.crashes) == (State.READY, None, 0)
    assert not Runs.objects.exists()


# A relay in this process


def test_of_two_that_cancel_a_relayed_task_at_the_same_time_one_does(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, outage = Servers.objects.get(pk=a_server()), Outage()
    stored: list[Outcome] = []
    pool = relay_pool.RelayPool(
        pool_options({}),
        Lease(server, 30, time.monotonic()),
        outage,
        Forwarder(outage, server.boot, None, on_idle=lambda: None),
        register=lambda: server,
        on_stored=stored.extend,
        on_part_end=lambda: None,
        on_idle=lambda seconds: None,
        on_room=lambda: None,
        on_exhausted=lambda: None,
        app=None,
        timeout=60,
    )
    claimed = claimed_by(server.pk)
    pool._backlog.put([claimed])
    pool._backlog.take()
    pool._relayed.add(claimed, "default")
    told: list[bool] = []

    def another_cancels(*arguments: Any, **options: Any) -> Failure:
        monkeypatch.setattr(relay_pool, "cancelled", cancelled)
        told.append(pool.cancel(claimed.id))
        return cancelled(*arguments, **options)

    monkeypatch.setattr(relay_pool, "cancelled", another_cancels)
    told.append(pool.cancel(claimed.id))
    assert sorted(told) == [False, True]
    assert [outcome.claimed for outcome in stored] == [claimed]
    assert FailedTasks.objects.get().task_id == claimed.id
