"""What is ordered to be done with many tasks is done, and accounted for."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django import db
from django.db import OperationalError, ProgrammingError, connection
from django.test import override_settings
from django.utils import timezone

from leek import client, leases, lifecycle, orders, upkeep
from leek.api import push_many, push_task_to_queue, using
from leek.hinting import hint
from leek.models import FailedTasks, QueuedTasks, State
from leek.orders import Order, Report, carry_out
from leek.signals import task_finished
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import finish, wait_until

pytestmark = pytest.mark.django_db

FAR = timedelta(hours=1)


def push(number: int) -> list[int]:
    """Push tasks; return their ids."""
    return [row.pk for row in push_many([(tasks.noop, (), {})] * number)]


def claimed() -> int:
    """Push a task that a server has claimed which does not answer; return its id."""
    (task_id,) = push(1)
    server = leases.register(address="127.0.0.1", port=1, workers=1, queues=None, seconds=30)
    QueuedTasks.objects.filter(pk=task_id).update(
        state=State.RUNNING, owner=server.pk, claim=1, claimed_at=timezone.now()
    )
    return task_id


def carried_out(order: Order, ids: list[int] | None = None) -> Report:
    """Carry an order out on these tasks, or on all."""
    rows = QueuedTasks.objects.all() if ids is None else QueuedTasks.objects.filter(pk__in=ids)
    return carry_out(order, rows)


def figures(report: Report) -> tuple[int, int, int, int]:
    """Return the figures of a report."""
    return report.done, report.kept, report.others, report.left


def states() -> list[State]:
    """Return the states of all tasks, in their order."""
    return [
        State(state) for state in QueuedTasks.objects.order_by("pk").values_list("state", flat=True)
    ]


def test_failed_tasks_are_retried() -> None:
    failed = finish(push_many([(tasks.noop, (), {})] * 2), "ValueError")
    push(1)
    report = carried_out(orders.retry())
    assert figures(report) == (2, 0, 1, 0)
    assert [task.pk for task in report.tasks] == failed
    assert report.tasks[0].name == "tests.site.tasks.noop"
    assert states() == [State.READY] * 3
    assert not FailedTasks.objects.exists()


def test_a_task_whose_key_is_taken_is_not_retried() -> None:
    row = using(unique="key").push(tasks.noop)
    finish([row], "ValueError")
    using(unique="key").push(tasks.noop)
    report = carried_out(orders.retry())
    assert figures(report) == (0, 1, 1, 0)
    assert not report.tasks
    assert states() == [State.FAILED, State.READY]


def test_waiting_tasks_are_cancelled_and_the_site_is_told() -> None:
    told: list[int] = []

    def note(task_id: int, **facts: object) -> None:
        told.append(task_id)

    push(1)
    using(run_after=FAR).push(tasks.noop)
    blocked, keyed = push_task_to_queue(tasks.noop), using(unique="key").push(tasks.noop)
    QueuedTasks.objects.filter(pk=blocked.pk).update(state=State.BLOCKED, blocked_by="smtp")
    (ended,) = finish([push_task_to_queue(tasks.noop)])
    task_finished.connect(note)
    try:
        report = carried_out(orders.cancel())
    finally:
        task_finished.disconnect(note)
    assert figures(report) == (4, 0, 1, 0)
    assert sorted(told) == [task.pk for task in report.tasks]
    assert ended not in told
    keyed.refresh_from_db()
    assert keyed.unique_key is None
    assert set(FailedTasks.objects.values_list("exception_type", flat=True)) == {
        "leek.exceptions.TaskCancelled"
    }


def test_many_are_cancelled_in_batches() -> None:
    push(250)
    report = carried_out(orders.cancel())
    assert figures(report) == (250, 0, 0, 0)
    assert not report.tasks  # too many to be told apart
    assert FailedTasks.objects.count() == 250


def test_one_that_is_claimed_meanwhile_keeps_no_other_from_being_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = push(2)
    waiting = lifecycle.cancelling._waiting

    def claim_first(ids: list[int]) -> object:
        found = list(waiting(ids).values_list("pk", flat=True))
        monkeypatch.undo()
        QueuedTasks.objects.filter(pk=first).update(state=State.RUNNING, claim=7)
        return QueuedTasks.objects.filter(pk__in=found)

    monkeypatch.setattr(lifecycle.cancelling, "_waiting", claim_first)
    outcomes = lifecycle.cancel_many([first, second])
    assert [outcome.claimed.id for outcome in outcomes] == [second]
    assert states() == [State.RUNNING, State.FAILED]
    assert FailedTasks.objects.get().pk == second


def test_a_server_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    command = client.command

    def note(order: str, *, host: str, port: int) -> object:
        asked.append(order)
        return command(order, host=host, port=port)

    monkeypatch.setattr(client, "command", note)
    first, _, (second,) = claimed(), push(1), push(1)
    QueuedTasks.objects.filter(pk=second).update(
        state=State.RUNNING, owner=QueuedTasks.objects.get(pk=first).owner_id, claim=1
    )
    assert figures(carried_out(orders.cancel())) == (1, 2, 0, 0)
    assert len(asked) == 1
    assert states() == [State.RUNNING, State.FAILED, State.RUNNING]


@pytest.mark.django_db(transaction=True)
def test_running_tasks_are_cancelled_by_their_server(
    start_server: StartServer, tmp_path: Path
) -> None:
    start_server()
    gate = tmp_path / "gate"
    row = push_task_to_queue(tasks.wait_slowly, str(gate))
    wait_until(Path(f"{gate}.begun").exists, "the task to run")
    assert carried_out(orders.cancel()).done == 1
    failure = wait_until(lambda: FailedTasks.objects.filter(pk=row.pk).first(), "it to be stopped")
    assert failure.exception_type == "leek.exceptions.TaskCancelled"


def test_finished_tasks_are_purged_and_no_others() -> None:
    finish([push_task_to_queue(tasks.noop)])
    finish([push_task_to_queue(tasks.noop)], "ValueError")
    push(1)
    claimed()
    assert figures(carried_out(orders.purge())) == (2, 0, 2, 0)
    assert states() == [State.READY, State.RUNNING]


def test_deferred_parked_and_failed_attempts_are_due_now() -> None:
    deferred = using(run_after=FAR).push(tasks.noop)
    parked = using(run_after=FAR).push(tasks.noop)
    QueuedTasks.objects.filter(pk=parked.pk).update(parked_since=timezone.now())
    again = using(run_after=FAR).push(tasks.noop)
    QueuedTasks.objects.filter(pk=again.pk).update(tries=1)
    push(1)
    assert figures(carried_out(orders.run_now())) == (3, 0, 1, 0)
    assert states() == [State.READY] * 4
    for row in (deferred, parked, again):
        row.refresh_from_db()
        assert abs(row.run_after - timezone.now()) < FAR / 2
    assert again.tries == 1


def test_a_suspect_is_due_but_runs_alone() -> None:
    row = using(run_after=FAR).push(tasks.noop)
    QueuedTasks.objects.update(suspect=True)
    assert carried_out(orders.run_now()).done == 1
    assert states() == [State.DEFERRED]
    assert lifecycle.promote(None, 10) == 0
    assert [task.id for task in lifecycle.claim_suspect(1, 1, None)] == [row.pk]


def test_a_task_that_runs_is_not_made_due() -> None:
    claimed()
    assert figures(carried_out(orders.run_now())) == (0, 0, 1, 0)
    assert states() == [State.RUNNING]


@pytest.mark.parametrize(
    ("place", "expected"),
    [(("mail", None), ("mail", 3)), ((None, -7), ("default", -7)), (("mail", 0), ("mail", 0))],
)
def test_waiting_tasks_are_moved(
    place: tuple[str | None, int | None], expected: tuple[str, int]
) -> None:
    using(priority=3).push(tasks.noop)
    using(priority=3, run_after=FAR).push(tasks.noop)
    (ended,) = finish([using(priority=5).push(tasks.noop)])
    running = claimed()
    assert figures(carried_out(orders.move(*place))) == (2, 0, 2, 0)
    rows = QueuedTasks.objects.exclude(pk__in=[ended, running])
    assert set(rows.values_list("queue", "priority")) == {expected}
    assert QueuedTasks.objects.get(pk=ended).priority == 5


def test_nothing_is_moved_nowhere() -> None:
    ids = push(1)
    assert lifecycle.reassign(ids) == 0


def test_when_time_is_up_it_is_said_what_is_left_and_repeating_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upkeep, "FIRST_BATCH", 100)
    push(250)
    rows = QueuedTasks.objects.all()
    report = carry_out(orders.cancel(), rows, patience=-1)
    assert figures(report) == (100, 0, 0, 150)
    again = carry_out(orders.cancel(), rows)
    assert figures(again) == (150, 0, 100, 0)


def test_counts_end_at_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "COUNTED", 3)
    push(5)
    assert orders.number_of(QueuedTasks.objects.all()) == 3
    assert carried_out(orders.retry()).others == 3


@pytest.mark.parametrize("order", [orders.retry, orders.run_now, lambda: orders.move("mail", None)])
def test_servers_are_told_that_there_is_work(order: Callable[[], Order]) -> None:
    finish([push_task_to_queue(tasks.noop)], "ValueError")
    using(run_after=FAR).push(tasks.noop)
    connection.run_on_commit.clear()
    assert carried_out(order()).done == 1
    assert [entry[1] for entry in connection.run_on_commit] == [hint]


def test_where_tasks_are_run_at_once_so_are_these() -> None:
    finish([push_task_to_queue(tasks.noop)], "ValueError")
    with override_settings(TASKS_QUEUE={"EAGER": True}):
        assert carried_out(orders.retry()).done == 1
    assert states() == [State.SUCCESSFUL]


def test_where_tasks_are_run_at_once_moving_them_runs_none() -> None:
    push(1)
    with override_settings(TASKS_QUEUE={"EAGER": True}):
        assert carried_out(orders.move("mail", None)).done == 1
    assert states() == [State.READY]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [OperationalError("locked"), ProgrammingError("no such table")])
def test_when_the_database_fails_it_is_said_what_is_left(error: db.Error) -> None:
    push(orders.FEW + 50)
    batches = iter([orders.Batch(100)])

    def act(ids: list[int]) -> orders.Batch:
        for batch in batches:
            return batch
        raise error

    order = Order((State.READY,), act)
    if isinstance(error, ProgrammingError):
        with pytest.raises(ProgrammingError):
            carried_out(order)
    else:
        assert figures(carried_out(order)) == (100, 0, 0, 50)
