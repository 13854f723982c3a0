"""Enqueuing tasks, which a server runs, and looking at their results."""

import enum
import threading
from contextlib import suppress
from dataclasses import FrozenInstanceError
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, models, transaction
from django.test import override_settings
from django.utils import timezone

from leek.api import push_task_to_queue
from leek.models import QueuedTasks
from tests.integration.backend.contract.framework import (
    SYNC,
    Calls,
    InvalidTask,
    InvalidTaskBackend,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultMismatch,
    TaskResultStatus,
    default_task_backend,
    in_both_ways,
    of_both_kinds,
    of_each_kind,
    task_backends,
)
from tests.site import django_tasks as tasks
from tests.site.tasks import noop
from tests.support import wait_until

pytestmark = pytest.mark.usefixtures("server")

later = timedelta(hours=1)


class Queues(models.TextChoices):
    """The queues of a site, by name."""

    LETTERS = "letters"


class PlainQueues(str, enum.Enum):  # noqa: UP042 (sites have these)
    """The same, without Django."""

    LETTERS = "letters"


class Urgency(models.IntegerChoices):
    """The priorities of a site, by name."""

    HIGH = 7


def enqueued_later(calls: Calls = SYNC, a_task: Any = tasks.add, *args: Any) -> TaskResult:
    """Enqueue a task that no server runs during these tests."""
    return calls.enqueue(a_task.using(run_after=later), *(args or (1, 2)))


# Enqueuing


@in_both_ways
@of_both_kinds
def test_a_task_that_is_enqueued_is_ready(calls: Calls, a_task: Any) -> None:
    before = timezone.now()
    made = a_task.using(run_after=later)
    result = calls.enqueue(made, 1, two=3)
    assert result.status is TaskResultStatus.READY
    assert not result.is_finished
    assert result.enqueued_at is not None
    assert before <= result.enqueued_at <= timezone.now()
    assert (result.started_at, result.last_attempted_at, result.finished_at) == (None, None, None)
    assert (result.args, result.kwargs) == ([1], {"two": 3})
    assert (result.task, result.backend) == (made, "default")
    assert (result.attempts, result.worker_ids, result.errors) == (0, [], [])
    with pytest.raises(ValueError, match="Task has not finished yet"):
        _ = result.return_value


@in_both_ways
@of_both_kinds
def test_a_server_runs_a_task_that_is_enqueued(calls: Calls, a_task: Any) -> None:
    result = calls.run(a_task, 1, two=3)
    assert result.status is TaskResultStatus.SUCCESSFUL
    assert result.return_value is None
    assert (result.task, result.args, result.kwargs) == (a_task, [1], {"two": 3})
    assert (result.attempts, len(result.worker_ids), result.errors) == (1, 1, [])
    assert result.enqueued_at is not None
    assert result.started_at is not None
    assert result.finished_at is not None
    assert result.enqueued_at <= result.started_at <= result.finished_at <= timezone.now()
    assert result.last_attempted_at == result.started_at


@in_both_ways
@of_each_kind(tasks.add, tasks.add_async)
def test_a_task_returns_its_value(calls: Calls, a_task: Any) -> None:
    assert calls.run(a_task, 40, second=2).return_value == 42


@in_both_ways
def test_arguments_may_be_left_out(calls: Calls) -> None:
    result = calls.run(tasks.echo)
    assert (result.args, result.kwargs, result.return_value) == ([], {}, [[], {}])


def test_a_backend_can_be_told_to_enqueue() -> None:
    given: list[Any] = [(1, 2), [1, 2]]
    for args in given:
        result = default_task_backend.enqueue(tasks.add, args, {})
        assert (result.args, result.task) == ([1, 2], tasks.add)
        assert SYNC.finished(result).return_value == 3


@in_both_ways
def test_an_id_is_a_text_of_less_than_64_characters(calls: Calls) -> None:
    ids = [enqueued_later(calls).id for _ in range(3)]
    assert all(isinstance(each, str) and 0 < len(each) < 64 for each in ids)
    assert len({*ids}) == 3


def test_the_enqueuer_may_change_its_arguments_afterwards() -> None:
    basket = {"fruit": ["apple"]}
    result = enqueued_later(SYNC, tasks.echo, basket)
    basket["fruit"].append("pear")
    result.refresh()
    assert result.args == [{"fruit": ["apple"]}]


@of_each_kind(tasks.enqueue_another, tasks.enqueue_another_async)
def test_a_task_may_enqueue_another_one(a_task: Any) -> None:
    other = tasks.add.get_result(SYNC.run(a_task, 41).return_value)
    assert SYNC.finished(other).return_value == 42


@in_both_ways
def test_a_call_that_does_not_fit_is_refused(calls: Calls) -> None:
    with pytest.raises(InvalidTask, match="cannot be called so"):
        calls.enqueue(tasks.add, 1, third=2)


@in_both_ways
def test_a_task_is_checked_once_more_when_it_is_enqueued(calls: Calls) -> None:
    made = tasks.add.using(queue_name="letters", backend="any")
    narrow = {"any": {"BACKEND": "leek.backend.LeekBackend", "QUEUES": ["news"]}}
    with (
        override_settings(TASKS=narrow),
        pytest.raises(InvalidTask, match="Queue 'letters' is not valid for backend"),
    ):
        calls.enqueue(made, 1, 2)


@in_both_ways
def test_nothing_is_enqueued_where_there_is_no_backend(calls: Calls) -> None:
    with override_settings(TASKS={}), pytest.raises(InvalidTaskBackend):
        calls.enqueue(tasks.add, 1, 2)


# Where and when a task runs


def test_a_result_has_the_task_as_it_was_enqueued() -> None:
    when = timezone.now() + later
    made = tasks.add.using(
        priority=7,
        queue_name="letters",
        backend="any",
        run_after=when,
        max_retries=9,
        timeout=30,  # type: ignore[call-arg]
    )
    result = made.enqueue(1, 2)
    for found in (result, made.get_result(result.id), default_task_backend.get_result(result.id)):
        assert found.task == made
        assert type(found.task) is type(made)
        assert found.backend == "any"


@in_both_ways
@pytest.mark.parametrize("queue", [Queues.LETTERS, PlainQueues.LETTERS], ids=["Django", "Python"])
def test_queue_and_priority_may_be_members_of_enumerations(calls: Calls, queue: str) -> None:
    made = tasks.add.using(backend="any", queue_name=queue, priority=Urgency.HIGH)
    result = calls.run(made, 1, 2)
    assert result.return_value == 3
    assert (result.task.queue_name, result.task.priority) == ("letters", 7)
    assert QueuedTasks.objects.get(pk=int(result.id)).queue == "letters"


@in_both_ways
@pytest.mark.parametrize("as_delay", [False, True], ids=["time", "delay"])
def test_a_task_does_not_run_before_its_time(calls: Calls, as_delay: bool) -> None:
    delay = timedelta(seconds=0.3)
    when: Any = delay if as_delay else timezone.now() + delay
    made = tasks.add.using(run_after=when)
    result = calls.enqueue(made, 1, 2)
    assert result.status is TaskResultStatus.READY
    calls.finished(result)
    assert made.run_after is not None
    assert result.started_at is not None
    assert result.started_at >= made.run_after
    assert result.task.run_after == made.run_after


def test_a_task_whose_time_is_past_runs_at_once() -> None:
    made = tasks.add.using(run_after=timezone.now() - later)
    assert SYNC.run(made, 1, 2).return_value == 3


def test_a_task_that_runs_is_running(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    result = tasks.wait_at.enqueue(str(gate))
    wait_until(Path(f"{gate}.begun").exists, "the start")
    result.refresh()
    assert result.status is TaskResultStatus.RUNNING
    assert not result.is_finished
    assert result.enqueued_at is not None
    assert result.started_at is not None
    assert result.enqueued_at <= result.started_at == result.last_attempted_at
    assert (result.finished_at, result.errors) == (None, [])
    assert result.attempts == len(result.worker_ids) == 1
    with pytest.raises(ValueError, match="Task has not finished yet"):
        _ = result.return_value
    gate.touch()
    assert SYNC.finished(result).return_value == "through"
    assert result.attempts == len(result.worker_ids) == 1


# Transactions


@in_both_ways
def test_enqueuing_does_not_wait_for_the_commit(calls: Calls) -> None:
    with transaction.atomic():
        result = calls.enqueue(tasks.add, 1, 2)
        assert result.enqueued_at is not None
        assert calls.result(tasks.add, result.id).status is TaskResultStatus.READY
    assert calls.finished(result).return_value == 3


@in_both_ways
def test_a_task_is_rolled_back_with_the_transaction_that_enqueued_it(calls: Calls) -> None:
    with suppress(RuntimeError), transaction.atomic():
        result = calls.enqueue(tasks.add, 1, 2)
        raise RuntimeError
    with pytest.raises(TaskResultDoesNotExist):
        calls.result(tasks.add, result.id)
    with pytest.raises(TaskResultDoesNotExist):
        calls.refresh(result)


def test_a_task_may_be_enqueued_on_commit() -> None:
    results: list[TaskResult] = []
    with transaction.atomic():
        transaction.on_commit(lambda: results.append(tasks.add.enqueue(1, 2)))
        transaction.on_commit(partial(tasks.take_any.enqueue, first=1))
        assert results == []
    assert SYNC.finished(results[0]).return_value == 3


# Finding results


@in_both_ways
def test_a_result_is_found_by_its_id(calls: Calls) -> None:
    result = enqueued_later(calls)
    for finder in (tasks.add, default_task_backend, task_backends["mail"]):
        assert calls.result(finder, result.id) == result


@in_both_ways
def test_a_result_that_is_finished_is_found_by_its_id(calls: Calls) -> None:
    result = calls.run(tasks.echo, [1, {"two": None}])
    assert calls.result(tasks.echo, result.id) == result
    assert calls.result(default_task_backend, result.id).return_value == [[[1, {"two": None}]], {}]


def test_a_result_is_found_from_another_thread() -> None:
    result = enqueued_later()
    found: list[TaskResult] = []

    def find() -> None:
        found.append(tasks.add.get_result(result.id))
        connection.close()

    thread = threading.Thread(target=find)
    thread.start()
    thread.join(60)
    assert found == [result]


@in_both_ways
def test_the_result_of_another_task_is_refused(calls: Calls) -> None:
    result = enqueued_later(calls, tasks.add_async)
    with pytest.raises(
        TaskResultMismatch, match=r"received 'tests\.site\.django_tasks\.add_async'"
    ):
        calls.result(tasks.add, result.id)


@in_both_ways
def test_a_task_with_other_options_finds_the_results_of_its_function(calls: Calls) -> None:
    result = enqueued_later(calls)
    assert calls.result(tasks.add.using(priority=9), result.id) == result


NO_IDS: list[Any] = ["", "abc", "0", "\x00", str(2**63), 2**70, str(2**70), None, b"1", [], uuid4()]


def misspelt(number: str) -> list[Any]:
    """Return what looks like an id, but is not."""
    arabic = number.translate({ord("0") + digit: 0x660 + digit for digit in range(10)})
    signed = [f"-{number}", f"+{number}", f" {number}", f"{number} ", f"0{number}", f"{number}\n"]
    return [*signed, f"{number}.0", f"{number}e0", f"0_{number}", arabic, float(number)]


@in_both_ways
def test_nothing_is_found_by_what_is_no_id(calls: Calls) -> None:
    number = enqueued_later().id
    for wrong in [*NO_IDS, *misspelt(number)]:
        with pytest.raises(TaskResultDoesNotExist):
            calls.result(default_task_backend, wrong)
        with pytest.raises(TaskResultDoesNotExist):
            calls.result(tasks.add, wrong)


@in_both_ways
def test_nothing_is_found_by_an_id_that_no_task_has(calls: Calls) -> None:
    for finder in (tasks.add, default_task_backend):
        with pytest.raises(TaskResultDoesNotExist, match="no task '123456789'"):
            calls.result(finder, "123456789")


@in_both_ways
def test_a_task_that_is_deleted_has_no_result(calls: Calls) -> None:
    result = enqueued_later(calls)
    QueuedTasks.objects.filter(pk=int(result.id)).delete()
    with pytest.raises(TaskResultDoesNotExist, match=result.id):
        calls.result(tasks.add, result.id)


@in_both_ways
def test_a_task_that_was_pushed_has_no_result_for_the_framework(calls: Calls) -> None:
    row = push_task_to_queue(noop)
    with pytest.raises(TaskResultDoesNotExist, match="was pushed"):
        calls.result(default_task_backend, str(row.pk))


@in_both_ways
def test_a_task_that_cannot_be_imported_has_no_result(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = enqueued_later(calls)
    with monkeypatch.context() as patch:
        patch.delattr(tasks, "add")
        with pytest.raises(TaskResultDoesNotExist, match="cannot be read"):
            calls.result(default_task_backend, result.id)
    assert calls.result(default_task_backend, result.id) == result


@in_both_ways
def test_a_task_that_is_damaged_has_no_result(calls: Calls) -> None:
    result = enqueued_later(calls)
    QueuedTasks.objects.filter(pk=int(result.id)).update(payload="damaged")
    with pytest.raises(TaskResultDoesNotExist, match="cannot be read"):
        calls.result(default_task_backend, result.id)


# Results


@in_both_ways
def test_a_result_changes_only_when_it_is_loaded_again(calls: Calls) -> None:
    result = calls.enqueue(tasks.add, 1, 2)
    wait_until(lambda: tasks.add.get_result(result.id).is_finished, "the end")
    assert (result.status, result.finished_at) == (TaskResultStatus.READY, None)
    calls.refresh(result)
    assert result.status is TaskResultStatus.SUCCESSFUL
    assert result == tasks.add.get_result(result.id)


@in_both_ways
def test_loading_a_result_again_changes_nothing_where_nothing_has_happened(calls: Calls) -> None:
    result = enqueued_later(calls)
    before = repr(result)
    calls.refresh(result)
    assert repr(result) == before


def test_a_result_cannot_be_changed() -> None:
    result = enqueued_later()
    with pytest.raises(FrozenInstanceError):
        result.status = TaskResultStatus.SUCCESSFUL


def test_a_task_that_is_cancelled_has_failed() -> None:
    result = enqueued_later()
    assert QueuedTasks.objects.get(pk=int(result.id)).cancel()
    result.refresh()
    assert result.status is TaskResultStatus.FAILED
    assert [error.exception_class.__name__ for error in result.errors] == ["TaskCancelled"]
    assert (result.attempts, result.started_at) == (0, None)
    assert result.finished_at is not None
