"""What `leek.testing` gives the tests of a site."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test import TestCase, override_settings
from django.utils import timezone

from leek import lifecycle, serializer
from leek.api import push_many, push_task_to_queue, using
from leek.exceptions import InvalidTask, TaskFailed
from leek.models import FailedAttempts, FailedTasks, QueuedTasks, State, Status, SuccessTasks
from leek.testing import (
    assert_not_pushed,
    assert_pushed,
    capture_pushed,
    pushed,
    run_pushed,
)
from tests.site import tasks
from tests.site.models import Runs

pytestmark = pytest.mark.any_version


def tags() -> list[str]:
    """Return the tags that tasks have recorded, in order."""
    return list(Runs.objects.order_by("pk").values_list("tag", flat=True))


class InsideATestCase(TestCase):
    """As the tests of a site have it: one transaction around the class, one around the test."""

    @classmethod
    def setUpTestData(cls) -> None:
        """Push what all tests of the class have."""
        push_task_to_queue(tasks.record, "first")

    def test_what_was_pushed_runs_although_nothing_is_committed(self) -> None:
        push_task_to_queue(tasks.record, "second")
        rows = run_pushed()
        assert [row.status for row in rows] == [Status.SUCCESSFUL] * 2
        assert tags() == ["first", "second"]

    def test_other_tests_see_nothing_of_it(self) -> None:
        assert pushed() == [assert_pushed(tasks.record, "first")]
        assert [row.pk for row in run_pushed()] == [pushed()[0].pk]
        assert tags() == ["first"]


@pytest.mark.django_db
class TestRunPushed:
    """Tasks run in the caller's process, as a server would run them."""

    def test_records_outcomes(self) -> None:
        row = push_task_to_queue(tasks.add, 1, 2)
        (ran,) = run_pushed()
        assert (ran.pk, ran.status, ran.result, ran.tries) == (row.pk, "SUCCESSFUL", 3, 1)
        assert SuccessTasks.objects.get().task_id == row.pk
        assert run_pushed() == []

    def test_runs_the_highest_priority_and_the_oldest_first(self) -> None:
        for priority, tag in [(0, "c"), (-1, "e"), (5, "a"), (0, "d"), (5, "b")]:
            using(priority=priority).push(tasks.record, tag)
        rows = run_pushed()
        assert tags() == ["a", "b", "c", "d", "e"]
        assert [row.priority for row in rows] == [5, 5, 0, 0, -1]

    def test_runs_what_tasks_push(self) -> None:
        row = push_task_to_queue(tasks.count_down, 2)
        assert [ran.result for ran in run_pushed()] == [2, 1, 0]
        assert QueuedTasks.objects.order_by("pk")[0] == row

    def test_runs_only_what_is_there_if_it_is_told_so(self) -> None:
        push_many([(tasks.count_down, (2,), {}), (tasks.count_down, (1,), {})])
        assert [row.result for row in run_pushed(until_empty=False)] == [2, 1]
        assert [row.result for row in run_pushed(until_empty=False)] == [1, 0]

    def test_leaves_what_an_earlier_task_has_taken_away(self) -> None:
        push_many([(tasks.delete_waiting, (), {}), (tasks.record, ("gone",), {})])
        assert len(run_pushed(until_empty=False)) == 1
        assert not tags()

    def test_serves_one_queue_if_it_is_told_so(self) -> None:
        using(queue="mail").push(tasks.record, "mail")
        push_task_to_queue(tasks.record, "default")
        assert len(run_pushed(queue="mail")) == 1
        assert tags() == ["mail"]

    def test_leaves_what_is_due_later(self) -> None:
        row = using(run_after=timedelta(hours=1)).push(tasks.noop)
        assert run_pushed() == []
        assert run_pushed(include_deferred=True) == [row]
        assert not QueuedTasks.objects.exclude(state=State.SUCCESSFUL).exists()

    def test_runs_deferred_tasks_whose_time_has_come(self) -> None:
        row = using(run_after=timedelta(hours=1)).push(tasks.noop)
        QueuedTasks.objects.filter(pk=row.pk).update(run_after=timezone.now())
        assert run_pushed() == [row]

    def test_leaves_what_a_server_has_claimed(self) -> None:
        lifecycle.claim_one(push_task_to_queue(tasks.noop))
        assert run_pushed(include_deferred=True) == []

    def test_defers_a_task_that_has_tries_left(self) -> None:
        row = using(retry_delay=60).push(tasks.fail)
        (ran,) = run_pushed()
        assert (ran, ran.state, ran.tries, ran.owner_id) == (row, State.DEFERRED, 1, None)
        assert ran.run_after > timezone.now() + timedelta(seconds=50)
        assert FailedAttempts.objects.get().exception_message == "as asked"
        assert not FailedTasks.objects.exists()

    def test_tries_a_task_again_that_is_due_at_once(self) -> None:
        row = using(retry_delay=0).push(tasks.fail)
        (ran,) = run_pushed()
        assert (ran, ran.status, ran.tries) == (row, "FAILED", 3)
        assert FailedAttempts.objects.count() == 3

    def test_does_not_wait_between_tries_if_it_is_told_so(self, tmp_path: Path) -> None:
        row = push_task_to_queue(tasks.fail_until, str(tmp_path / "marker"), 3)
        assert run_pushed(include_deferred=True) == [row]
        assert QueuedTasks.objects.get().result == 3

    def test_raises_the_first_error_if_it_is_told_so(self) -> None:
        using(priority=1).push(tasks.fail, "the first")
        push_many([(tasks.fail, ("the second",), {}), (tasks.noop, (), {})])
        with pytest.raises(TaskFailed, match="ValueError: the first") as raised:
            run_pushed(raise_errors=True)
        assert raised.value.type == "ValueError"
        assert "in fail" in raised.value.__notes__[0]
        assert list(QueuedTasks.objects.order_by("pk").values_list("tries", flat=True)) == [1, 0, 0]

    def test_fails_a_task_whose_callable_is_gone(self) -> None:
        row = push_task_to_queue(tasks.noop)
        payload = serializer.dump_task("tests.site.tasks.gone", (), {}, "auto")
        QueuedTasks.objects.filter(pk=row.pk).update(payload=payload)
        (ran,) = run_pushed(include_deferred=True)
        assert ran.exception is not None
        assert "gone" in ran.exception.message

    def test_runs_async_tasks(self) -> None:
        push_task_to_queue(tasks.add_slowly, 1, 2)
        assert [row.result for row in run_pushed()] == [3]

    def test_frees_unique_keys(self) -> None:
        first = using(unique="a").push(tasks.noop)
        run_pushed()
        assert using(unique="a").push(tasks.noop) != first

    def test_looks_at_neither_limits_nor_services(self) -> None:
        using(limit=1, rate="1/d", key="k", requires=["tcp:localhost:1"]).push(tasks.noop)
        using(limit=1, rate="1/d", key="k").push(tasks.noop)
        assert [row.status for row in run_pushed()] == ["SUCCESSFUL"] * 2

    @override_settings(TASKS_QUEUE={"EAGER": True})
    def test_has_nothing_to_do_where_tasks_are_eager(self) -> None:
        push_task_to_queue(tasks.record, "eager")
        assert run_pushed() == []
        assert tags() == ["eager"]


BREAKING = [tasks.create_group, tasks.insert_group]


def run_one_that_breaks_the_transaction(how: Callable[..., Any], **options: Any) -> None:
    """Run a task that ends in a database error, and expect it to stay with the task."""
    Group.objects.create(name="gardeners")
    broken = using(max_retries=1, **options).push(how, "gardeners")
    whole = push_task_to_queue(tasks.add, 1, 2)
    assert run_pushed() == [broken, whole]
    broken.refresh_from_db()
    assert broken.exception is not None
    assert broken.exception.type == "django.db.utils.IntegrityError"
    assert QueuedTasks.objects.get(pk=whole.pk).result == 3
    assert Group.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("how", BREAKING)
@pytest.mark.parametrize("atomic", [False, True])
def test_a_database_error_leaves_the_transaction_of_the_test_usable(
    how: Callable[..., Any], atomic: bool
) -> None:
    run_one_that_breaks_the_transaction(how, atomic=atomic)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", BREAKING)
@pytest.mark.parametrize("atomic", [False, True])
def test_a_database_error_stays_with_the_task_where_there_is_no_transaction(
    how: Callable[..., Any], atomic: bool, port: int
) -> None:
    run_one_that_breaks_the_transaction(how, atomic=atomic)
    assert not connection.in_atomic_block


@pytest.mark.django_db
@pytest.mark.parametrize("eager", [False, True])
class TestAtomicTasks:
    """What an atomic task writes and its success are one here, too, eager or not."""

    def run(self, eager: bool, a_callable: Callable[..., Any], *args: Any) -> QueuedTasks:
        """Push an atomic task and run it, in a transaction that goes on."""
        with override_settings(TASKS_QUEUE={"EAGER": eager}), transaction.atomic():
            row = using(atomic=True, max_retries=1).push(a_callable, *args)
            assert len(run_pushed()) == int(not eager)
            row.refresh_from_db()
        return row

    def test_keep_what_they_wrote_with_their_success(self, eager: bool) -> None:
        assert self.run(eager, tasks.record, "written").status == "SUCCESSFUL"
        assert tags() == ["written"]
        assert SuccessTasks.objects.count() == 1

    def test_leave_nothing_when_they_fail(self, eager: bool) -> None:
        assert self.run(eager, tasks.record_and_fail, "undone").status == "FAILED"
        assert not tags()

    def test_fail_where_they_have_broken_their_transaction(self, eager: bool) -> None:
        Group.objects.create(name="gardeners")
        row = self.run(eager, tasks.insert_group_and_go_on, "gardeners")
        assert row.status == ("FAILED" if connection.vendor == "postgresql" else "SUCCESSFUL")
        assert Group.objects.count() == 1


@pytest.mark.django_db
class TestAssertions:
    """Tests look at what was pushed, before it runs or after."""

    def test_pushed_gives_rows_in_order(self) -> None:
        rows = [using(priority=priority).push(tasks.add, priority, 1) for priority in (1, 3, 2)]
        other = push_task_to_queue(tasks.noop)
        assert pushed() == [*rows, other]
        assert pushed(tasks.add) == rows
        run_pushed()
        assert pushed(tasks.noop) == [other]
        assert pushed(tasks.noop)[0].status == "SUCCESSFUL"
        assert pushed(tasks.fail) == []

    def test_assert_pushed_returns_the_latest_row_with_the_arguments(self) -> None:
        rows = push_many([(tasks.echo, (number,), {"a": [number]}) for number in (1, 2, 1, 3)])
        assert assert_pushed(tasks.echo, 1, a=[1]) == rows[2]
        assert assert_pushed(tasks.echo, ANY, a=ANY) == rows[3]

    def test_arguments_are_compared_as_the_task_gets_them(self) -> None:
        group = Group.objects.create(name="gardeners")
        now = timezone.now()
        row = push_task_to_queue(tasks.echo, group, (1, 2), now, {3}, a_callable=None)
        same = Group.objects.get()
        assert assert_pushed(tasks.echo, same, (1, 2), now, {3}, a_callable=None) == row
        with pytest.raises(AssertionError):
            assert_pushed(tasks.echo, same, [1, 2], now, {3}, a_callable=None)

    @override_settings(TASKS_QUEUE={"SERIALIZER": "json"})
    def test_arguments_are_compared_where_there_is_no_pickle(self) -> None:
        row = push_task_to_queue(tasks.add, 1, 2)
        assert assert_pushed(tasks.add, ANY, 2) == row

    def test_assert_pushed_says_what_was_pushed_instead(self) -> None:
        rows = [push_task_to_queue(tasks.add, 1, second=2), push_task_to_queue(tasks.noop)]
        with pytest.raises(AssertionError) as raised:
            assert_pushed(tasks.add, 1, second=3)
        assert str(raised.value) == (
            "tests.site.tasks.add(1, second=3) was not pushed. Pushed were:\n"
            f"  task {rows[0].pk}: tests.site.tasks.add(1, second=2)\n"
            f"  task {rows[1].pk}: tests.site.tasks.noop()"
        )

    def test_assert_pushed_says_that_nothing_was_pushed(self) -> None:
        with pytest.raises(AssertionError, match=r"noop\(\) was not pushed. Nothing was pushed."):
            assert_pushed(tasks.noop)

    def test_a_message_has_the_latest_of_many(self) -> None:
        rows = push_many([(tasks.huge, (10**1000,), {})] + [(tasks.noop, (), {})] * 20)
        with pytest.raises(AssertionError) as raised:
            assert_pushed(tasks.huge, 1)
        message = str(raised.value)
        assert "Pushed were, of 21 the latest:" in message
        assert f"task {rows[-1].pk}: " in message
        assert f"task {rows[0].pk}: " not in message
        with pytest.raises(AssertionError) as raised:
            assert_not_pushed(tasks.huge)
        assert len(str(raised.value)) < 1000

    def test_a_message_tells_of_what_cannot_be_read(self) -> None:
        row = push_task_to_queue(tasks.add, 1, 2)
        QueuedTasks.objects.update(payload="nonsense")
        with pytest.raises(AssertionError, match=rf"task {row.pk}: tests\S+ .* damaged"):
            assert_pushed(tasks.add, 1, 2)

    def test_assert_not_pushed_names_the_calls(self) -> None:
        assert_not_pushed()
        row = push_task_to_queue(tasks.add, 1, 2)
        assert_not_pushed(tasks.noop)
        named = rf"task {row.pk}: tests.site.tasks.add\(1, 2\)"
        with pytest.raises(
            AssertionError, match=rf"tests.site.tasks.add was pushed. (?s:.*){named}"
        ):
            assert_not_pushed(tasks.add)
        with pytest.raises(AssertionError, match=rf"A task was pushed. (?s:.*){named}"):
            assert_not_pushed()

    def test_what_cannot_be_pushed_is_a_mistake_in_the_test(self) -> None:
        with pytest.raises(InvalidTask, match="lambda"):
            assert_not_pushed(lambda: None)


@pytest.mark.django_db
class TestCapturePushed:
    """A block of code, and what it pushes."""

    def test_gives_what_is_pushed_inside(self) -> None:
        push_task_to_queue(tasks.noop)
        with capture_pushed() as rows:
            inside = [push_task_to_queue(tasks.noop), using(priority=9).push(tasks.noop)]
        push_task_to_queue(tasks.noop)
        assert rows == inside

    def test_gives_nothing_that_was_rolled_back_or_there_before(self) -> None:
        using(unique="a").push(tasks.noop)
        with capture_pushed() as rows:
            with transaction.atomic():
                push_task_to_queue(tasks.noop)
                transaction.set_rollback(True)
            assert using(unique="a").push(tasks.noop).duplicate
        assert rows == []

    def test_lets_errors_through(self) -> None:
        with pytest.raises(ValueError, match="as asked"), capture_pushed():
            tasks.fail()
