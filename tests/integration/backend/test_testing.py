"""Tests of sites whose code enqueues: EAGER, run_pushed, and the assertions."""

import asyncio
from typing import Any
from unittest.mock import ANY

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.test import TestCase, override_settings

from leek.api import push_task_to_queue
from leek.framework import InvalidTask, TaskResult, task_enqueued, task_finished, task_started
from leek.models import QueuedTasks, Status
from leek.testing import (
    assert_not_pushed,
    assert_pushed,
    capture_pushed,
    pushed,
    run_pushed,
)
from tests.site import django_policies, django_tasks
from tests.site.models import Runs

site: Any = django_policies  # Django's stubs know nothing of pushing
plain: Any = django_tasks

NAMES = {task_enqueued: "enqueued", task_started: "started", task_finished: "finished"}

eager = override_settings(TASKS_QUEUE={"EAGER": True})


class Told:
    """What the framework's signals tell of, in order."""

    def __init__(self) -> None:
        self.signals: list[str] = []
        self.results: list[TaskResult] = []

    def note(self, signal: Any, task_result: TaskResult, **facts: Any) -> None:
        """Keep it."""
        self.signals.append(f"{NAMES[signal]} {task_result.status.value}")
        self.results.append(task_result)

    def __enter__(self) -> "Told":
        for signal in NAMES:
            signal.connect(self.note)
        return self

    def __exit__(self, *error: object) -> None:
        for signal in NAMES:
            signal.disconnect(self.note)


class EagerInATestCase(TestCase):
    """Enqueuing runs the task at once, in the transaction of the test."""

    def test_a_success(self) -> None:
        with eager, Told() as told:
            result = plain.tell_context.enqueue(7)
        assert told.signals == ["enqueued READY", "started RUNNING", "finished SUCCESSFUL"]
        assert {each.id for each in told.results} == {result.id}
        assert (result.status, result.attempts, result.worker_ids) == ("SUCCESSFUL", 1, ["eager"])
        assert result.return_value == [1, result.id, "RUNNING", ["eager"], [7]]
        assert result.enqueued_at <= result.started_at == result.last_attempted_at
        assert result.started_at <= result.finished_at
        assert plain.tell_context.get_result(result.id) == result

    def test_a_failure(self) -> None:
        with eager, Told() as told:
            result = plain.succeed_at.enqueue(2)
        assert told.signals == ["enqueued READY", "started RUNNING", "finished FAILED"]
        assert (result.status, result.attempts) == ("FAILED", 1)
        assert [error.exception_class for error in result.errors] == [ValueError]
        assert "attempt 1" in result.errors[0].traceback
        with pytest.raises(ValueError, match="Task failed"):
            _ = result.return_value

    def test_an_async_task_and_a_value_that_is_no_json(self) -> None:
        with eager:
            assert plain.add_async.enqueue(1, 2).return_value == 3
            result = plain.return_an_object.enqueue()
        assert result.errors[0].exception_class is TypeError

    def test_an_atomic_task_leaves_nothing_when_it_fails(self) -> None:
        with eager:
            failed = site.write_at.enqueue(2, "undone")
            kept = site.write_at.enqueue(1, "kept")
        assert (failed.status, kept.status) == ("FAILED", "SUCCESSFUL")
        assert [run.tag for run in Runs.objects.all()] == ["kept 1"]

    def test_what_tasks_enqueue_is_run_too(self) -> None:
        with eager:
            assert site.push_and_enqueue.enqueue(2).return_value == 2
        assert [row.status for row in pushed(site.push_and_enqueue)] == ["SUCCESSFUL"] * 3


@pytest.mark.django_db(transaction=True)
def test_an_eager_task_is_rolled_back_with_its_transaction(port: int) -> None:
    with eager, transaction.atomic():
        assert site.record.enqueue("undone").return_value == "undone"
        transaction.set_rollback(True)
    assert not QueuedTasks.objects.exists()
    assert not Runs.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_eager_task_is_enqueued_by_async_code(port: int) -> None:
    async def enqueue() -> Any:
        await asyncio.sleep(0)
        return await plain.add_async.aenqueue(1, second=2)

    with eager:
        assert async_to_sync(enqueue)().return_value == 3


@pytest.mark.django_db(transaction=True)
def test_a_failing_receiver_of_the_end_breaks_nothing(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**facts: Any) -> None:
        raise ValidationError("of a receiver")

    task_finished.connect(fail)
    try:
        with eager:
            assert plain.add.enqueue(1, 2).return_value == 3
    finally:
        task_finished.disconnect(fail)
    assert "of a receiver" in caplog.text
    assert not connection.in_atomic_block


@pytest.mark.django_db
class TestRunPushed:
    """It runs what was enqueued as a server would."""

    def test_tells_the_framework_and_lets_tasks_be_tried_again(self) -> None:
        result = plain.succeed_at.enqueue(3)
        with Told() as told:
            (row,) = run_pushed(include_deferred=True)
        assert (row.pk, row.status) == (int(result.id), Status.SUCCESSFUL)
        assert told.signals == ["started RUNNING"] * 3 + ["finished SUCCESSFUL"]
        assert [len(each.errors) for each in told.results] == [0, 1, 2, 2]
        result.refresh()
        assert (result.attempts, result.return_value, len(result.errors)) == (3, 2, 2)

    def test_runs_what_tasks_enqueue(self) -> None:
        site.push_and_enqueue.enqueue(2)
        assert [row.result for row in run_pushed()] == [2, 1, 0]

    def test_raises_the_first_error_if_it_is_told_so(self) -> None:
        plain.fail.enqueue("as asked")
        with pytest.raises(Exception, match="ValueError: as asked"):
            run_pushed(raise_errors=True)

    def test_serves_the_queue_of_an_alias(self) -> None:
        plain.add.using(backend="mail", queue_name="mail").enqueue(1, 2)
        plain.add.enqueue(3, 4)
        assert [row.result for row in run_pushed(queue="mail")] == [3]


@pytest.mark.django_db
class TestAssertions:
    """They know tasks that were enqueued, with arguments as the caller gave them."""

    def test_find_arguments_that_were_stored_as_json(self) -> None:
        result = plain.echo.enqueue((1, 2), b"bytes", who={"ids": (3,)})
        row = assert_pushed(plain.echo, (1, 2), b"bytes", who={"ids": (3,)})
        assert row.pk == int(result.id)
        assert assert_pushed(plain.echo, [1, 2], "bytes", who={"ids": [3]}) == row
        assert assert_pushed(plain.echo, ANY, "bytes", who=ANY) == row
        assert assert_pushed(plain.echo.func, (1, 2), ANY, who=ANY) == row
        for wrong in [(1, 3), {1, 2}, object, "12", None]:
            with pytest.raises(AssertionError, match=rf"task {row.pk}: .*echo\(\[1, 2\], 'bytes'"):
                assert_pushed(plain.echo, wrong, ANY, who=ANY)

    def test_know_what_was_pushed_from_what_was_enqueued(self) -> None:
        enqueued = plain.echo.enqueue((1, 2))
        row = push_task_to_queue(plain.echo, (1, 2))
        assert assert_pushed(plain.echo, (1, 2)) == row
        assert assert_pushed(plain.echo, [1, 2]).pk == int(enqueued.id)
        assert [each.pk for each in pushed(plain.echo)] == [int(enqueued.id), row.pk]

    def test_leave_the_context_out(self) -> None:
        result = plain.tell_context.enqueue(1)
        assert assert_pushed(plain.tell_context, 1).pk == int(result.id)

    def test_capture_what_is_enqueued(self) -> None:
        with capture_pushed() as rows:
            result = plain.add.enqueue(1, 2)
        assert [row.pk for row in rows] == [int(result.id)]

    def test_say_what_was_enqueued(self) -> None:
        assert_not_pushed(plain.add)
        plain.add.enqueue(1, 2)
        with pytest.raises(AssertionError, match=r"add was pushed\. (?s:.*)add\(1, 2\)"):
            assert_not_pushed(plain.add)

    def test_find_nothing_of_what_was_refused(self) -> None:
        with pytest.raises(InvalidTask):
            plain.add.enqueue(1, 2, 3)
        assert_not_pushed()
