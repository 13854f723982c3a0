"""Signals of tasks: what is sent, where, and that receivers harm nothing."""

import signal as signals_of_the_system
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import transaction
from django.dispatch import Signal
from django.test import override_settings
from django.utils import timezone

from leek import leases, lifecycle
from leek.announcing import SignalToSend, tidings_of
from leek.api import current_task, push_many, push_task_to_queue, using
from leek.exceptions import InvalidTask
from leek.models import QueuedTasks, Status, SuccessTasks
from leek.outcome import Claimed, Outcome, Success
from leek.serializer import dump_task
from leek.server import announcer
from leek.server.alarm import Alarm
from leek.server.announcer import Announcer
from leek.server.heartbeat import Lease
from leek.server.recorder import Recorder
from leek.server.service import Outage
from leek.signals import task_finished, task_pushed, task_retried, task_started
from tests.conftest import StartServer
from tests.site import receivers, tasks
from tests.site.models import Runs
from tests.support import wait_until

pytestmark = pytest.mark.any_version

in_every_place = pytest.mark.parametrize(
    "arguments", [(), ("--isolate",)], ids=["threads", "isolate"]
)
of_each_kind = pytest.mark.parametrize(
    "a_callable", [tasks.add, tasks.add_slowly], ids=["sync", "async"]
)


@contextmanager
def listening(receiver: Callable[..., Any], *signals: Signal) -> Iterator[None]:
    """Have a receiver called in this process, inside the block."""
    for signal in signals:
        signal.connect(receiver)
    try:
        yield
    finally:
        for signal in signals:
            signal.disconnect(receiver)


def told(number: int) -> list[str]:
    """Return what a server's receivers have recorded, when there are so many rows."""
    rows = Runs.objects.order_by("pk").values_list("tag", flat=True)
    wait_until(lambda: len(rows.all()) >= number, f"{number} signals")
    return list(rows.all())


# Pushes


@pytest.mark.django_db
def test_a_push_is_told_with_its_row() -> None:
    seen: list[QueuedTasks] = []

    def receive(task: QueuedTasks, sender: object, **facts: object) -> None:
        assert sender is QueuedTasks
        assert QueuedTasks.objects.filter(pk=task.pk).exists()
        seen.append(task)

    with listening(receive, task_pushed):
        row = push_task_to_queue(tasks.noop)
        rows = push_many([(tasks.noop, (), {})] * 2)
    assert [task.pk for task in seen] == [row.pk, *(each.pk for each in rows)]
    push_task_to_queue(tasks.noop)
    assert len(seen) == 3


@pytest.mark.django_db(transaction=True)
def test_a_push_is_told_in_its_transaction(port: int) -> None:
    def receive(task: QueuedTasks, **facts: object) -> None:
        Group.objects.create(name=f"of task {task.pk}")

    with suppress(RuntimeError), listening(receive, task_pushed), transaction.atomic():
        push_task_to_queue(tasks.noop)
        assert Group.objects.count() == 1
        raise RuntimeError
    assert not Group.objects.exists()
    assert not QueuedTasks.objects.exists()


@pytest.mark.django_db
def test_a_push_that_is_refused_is_not_told() -> None:
    with listening(receivers.fail, task_pushed), pytest.raises(InvalidTask):
        push_task_to_queue(tasks.add, 1)


@pytest.mark.django_db
@pytest.mark.parametrize("receiver", [receivers.fail, receivers.break_transaction])
def test_a_receiver_that_raises_leaves_the_push_and_its_transaction_alone(
    receiver: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with listening(receiver, task_pushed), transaction.atomic():
        row = push_task_to_queue(tasks.noop)
        assert QueuedTasks.objects.filter(pk=row.pk).exists()
    assert f"Error calling {receiver.__name__}" in caplog.text


# A server


@of_each_kind
@in_every_place
def test_start_and_end_of_a_task_are_told(
    start_server: StartServer, arguments: tuple[str, ...], a_callable: Callable[..., Any]
) -> None:
    server = start_server(*arguments, TESTS_RECEIVERS="record")
    row = push_task_to_queue(a_callable, 1, 2)
    assert told(2) == [f"started {row.pk} 1", f"finished {row.pk} 1 SUCCESSFUL None"]
    in_server = [run.process == server.process.pid for run in Runs.objects.order_by("pk")]
    assert in_server == [not arguments, True]
    assert row.wait(60) == 3
    assert server.terminate() == 0


@of_each_kind
@in_every_place
def test_receivers_may_be_async(
    start_server: StartServer, arguments: tuple[str, ...], a_callable: Callable[..., Any]
) -> None:
    start_server(*arguments, TESTS_RECEIVERS="record_slowly")
    row = push_task_to_queue(a_callable, 1, 2)
    assert told(2) == [f"started {row.pk}", f"finished {row.pk}"]


@in_every_place
def test_each_try_is_told(
    start_server: StartServer, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    start_server(*arguments, TESTS_RECEIVERS="record", LEEK_RETRY_DELAY="0.01")
    row = push_task_to_queue(tasks.fail_until, str(tmp_path / "tries"), 2)
    assert sorted(told(4)) == [
        f"finished {row.pk} 2 SUCCESSFUL None",
        f"retried {row.pk} 1 READY ValueError",
        f"started {row.pk} 1",
        f"started {row.pk} 2",
    ]


@in_every_place
@pytest.mark.logs_errors
def test_the_last_try_is_told_with_its_error(
    start_server: StartServer, arguments: tuple[str, ...]
) -> None:
    start_server(*arguments, TESTS_RECEIVERS="record", LEEK_MAX_RETRIES="1")
    row = push_task_to_queue(tasks.fail)
    assert told(2) == [f"started {row.pk} 1", f"finished {row.pk} 1 FAILED ValueError"]


@pytest.mark.logs_errors
def test_crashes_of_child_processes_are_told(start_server: StartServer) -> None:
    start_server("--isolate", TESTS_RECEIVERS="record", LEEK_MAX_CRASHES="2")
    row = push_task_to_queue(tasks.kill_own_process)
    lost = "leek.exceptions.WorkerLost"
    assert sorted(told(4)) == [
        f"finished {row.pk} 2 FAILED {lost}",
        f"retried {row.pk} 1 READY {lost}",
        f"started {row.pk} 1",
        f"started {row.pk} 2",
    ]


@of_each_kind
@in_every_place
@pytest.mark.logs_errors
@pytest.mark.parametrize("receiver", ["fail", "break_transaction"])
def test_receivers_that_raise_harm_no_task(
    start_server: StartServer,
    arguments: tuple[str, ...],
    a_callable: Callable[..., Any],
    receiver: str,
) -> None:
    server = start_server(*arguments, TESTS_RECEIVERS=receiver, TESTS_DEBUG="1")
    for row in (
        push_task_to_queue(a_callable, 1, 2),
        using(atomic=True).push(a_callable, 1, 2),
    ):
        assert (row.wait(60), row.tries) == (3, 1)
    wait_until(lambda: f"Error calling {receiver}" in server.log, "the record of the error")
    assert server.terminate() == 0


def test_what_receivers_of_the_start_write_belongs_to_an_atomic_task(
    start_server: StartServer,
) -> None:
    start_server(TESTS_RECEIVERS="record", LEEK_RETRY_DELAY="0.01", LEEK_MAX_RETRIES="2")
    row = using(atomic=True).push(tasks.fail_before, 2)
    assert sorted(told(3)) == [
        f"finished {row.pk} 2 SUCCESSFUL None",
        f"retried {row.pk} 1 READY ValueError",
        f"started {row.pk} 2",
    ]


def test_a_parked_task_is_not_told(start_server: StartServer) -> None:
    missing, now = "tests.site.tasks.missing", timezone.now()
    payload = dump_task(missing, (), {}, "auto")
    QueuedTasks.objects.create(name=missing, payload=payload, run_after=now, pushed_at=now)
    start_server(TESTS_RECEIVERS="record")
    wait_until(QueuedTasks.objects.exclude(parked_since=None).exists, "the parking")
    row = push_task_to_queue(tasks.noop)
    assert told(2) == [f"started {row.pk} 1", f"finished {row.pk} 1 SUCCESSFUL None"]


# The stop


def test_receivers_that_take_long_hold_up_no_outcome_and_are_waited_for_at_the_stop(
    start_server: StartServer, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    server = start_server(TESTS_RECEIVERS="wait", TESTS_GATE=str(gate))
    rows = [push_task_to_queue(tasks.add, 1, 2) for _ in range(3)]
    assert [row.wait(60) for row in rows] == [3, 3, 3]
    assert not Runs.objects.exists()
    server.process.send_signal(signals_of_the_system.SIGTERM)
    wait_until(lambda: "Stopping" in server.log, "the stop")
    gate.touch()
    assert server.wait() == 0
    assert told(3) == [f"finished {row.pk}" for row in rows]


def test_receivers_that_take_too_long_do_not_hold_up_the_stop(
    start_server: StartServer, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    server = start_server("--shutdown-timeout", "0.2", TESTS_RECEIVERS="wait", TESTS_GATE=str(gate))
    push_task_to_queue(tasks.noop)
    wait_until(Path(f"{gate}.begun").exists, "the receiver, which is called for what is stored")
    assert server.terminate() == 0
    assert "Some signals of tasks were not sent" in server.log
    assert SuccessTasks.objects.count() == 1


# EAGER


@pytest.mark.django_db
def test_an_eager_task_is_told_where_it_is_pushed() -> None:
    seen: list[tuple[Signal, Any]] = []

    def receive(signal: Signal, **facts: Any) -> None:
        seen.append((signal, facts.get("status")))
        assert (current_task() is not None) == (signal is task_started)

    signals = (task_pushed, task_started, task_retried, task_finished)
    with override_settings(TASKS_QUEUE={"EAGER": True}), listening(receive, *signals):
        push_task_to_queue(tasks.noop)
        push_task_to_queue(tasks.fail)
    beginning = [(task_pushed, None), (task_started, None)]
    assert seen == [
        *beginning,
        (task_finished, Status.SUCCESSFUL),
        *beginning,
        (task_finished, Status.FAILED),
    ]


# What is stored is told


@pytest.fixture
def claimed() -> tuple[Lease, list[Claimed]]:
    """Return two tasks that a server has claimed, and its lease."""
    push_many([(tasks.noop, (), {})] * 2)
    server = leases.register(address="here", port=1, workers=1, queues=None, seconds=60)
    return Lease(server, 60, time.monotonic()), lifecycle.claim(server.pk, 1, 2, None)


@pytest.mark.logs_errors
@pytest.mark.django_db
def test_an_outcome_that_comes_too_late_is_not_told(
    claimed: tuple[Lease, list[Claimed]],
) -> None:
    lease, (late, task) = claimed
    QueuedTasks.objects.filter(pk=late.id).update(claim=7)
    stored: list[Outcome] = []
    recorder = Recorder(
        Outage(), lease, Alarm(), nullcontext(), lambda outcomes: None, stored.extend
    )
    now = timezone.now()
    for each in (late, task):
        recorder.take(Success(each, now, now, None))
    recorder.run_once()
    assert [outcome.claimed for outcome in stored] == [task]


# The thread of the receivers


@pytest.fixture
def telling() -> Iterator[Announcer]:
    """Return what calls the receivers in a server; it is ended with the test."""
    thread = Announcer(Outage(), lambda: None)
    yield thread
    thread.stop()
    assert thread.join(60)


def outcome_of(number: int) -> Success:
    now = timezone.now()
    task = Claimed(number, "shop.send", "", 0, 0, 0, None, False, 0.0, now, 3, 9)
    return Success(task, now, now, None)


def test_there_is_no_thread_as_long_as_nobody_listens(telling: Announcer) -> None:
    telling.take([outcome_of(1)])
    assert telling.has_ended
    assert "leek-announcer" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.django_db(transaction=True)
def test_further_signals_are_dropped_where_receivers_are_too_slow(
    telling: Announcer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(announcer, "MOST_WAITING", 3)
    gate, began = threading.Event(), threading.Event()
    seen: list[int] = []

    def receive(task_id: int, **facts: object) -> None:
        began.set()
        gate.wait(60)
        seen.append(task_id)

    with listening(receive, task_finished):
        telling.take([outcome_of(0)])
        assert began.wait(60)
        telling.take([outcome_of(number) for number in range(1, 10)])
        gate.set()
        wait_until(lambda: len(seen) == 4, "the receivers")
        telling.take([outcome_of(10)])
        telling.stop()
        assert telling.join(60)
    assert seen == [0, 1, 2, 3, 10]
    assert caplog.text.count("further ones are dropped") == 1


def test_a_signal_that_nobody_listens_to_is_not_even_made() -> None:
    assert tidings_of(outcome_of(1)) == []
    with listening(receivers.fail, task_retried):
        assert tidings_of(outcome_of(1)) == []
    with listening(receivers.fail, task_finished):
        assert [type(each) for each in tidings_of(outcome_of(1))] == [SignalToSend]
