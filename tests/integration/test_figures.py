"""The figures that leek_status and the live page show."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from leek import leases, lifecycle, queue_figures, status
from leek.api import push_many, push_task_to_queue, using
from leek.database import Literal
from leek.models import QueuedTasks, Servers, State
from leek.status import QueueFigures
from tests.site import tasks
from tests.support import GIVE_UP_AFTER, finish

pytestmark = [pytest.mark.django_db, pytest.mark.any_version]

HOW = pytest.mark.parametrize("count_up_to", [None, 1000])


def wait_in(queue: str, *ages: int, priority: int = 0, state: State = State.READY) -> None:
    """Push tasks to a queue that have been due for so many seconds."""
    for age in ages:
        row = using(queue=queue, priority=priority).push(tasks.noop)
        due = timezone.now() - timedelta(seconds=age)
        QueuedTasks.objects.filter(pk=row.pk).update(run_after=due, state=state)


def queues(count_up_to: int | None = None) -> list[tuple[str, int, int | None]]:
    """Return the queues with the number of waiting tasks and the minutes that they have waited."""
    return [
        (queue.name, queue.waiting, in_minutes(queue.oldest_waiting))
        for queue in status.figures(count_up_to).queues
    ]


def in_minutes(age: float | None) -> int | None:
    """Return a whole number, which stays as it is while a test runs."""
    return None if age is None else int(age // (2 * GIVE_UP_AFTER)) * 2


@HOW
class TestQueues:
    """What waits in each queue, exactly and at a quick look."""

    def test_are_those_in_which_due_tasks_wait(self, count_up_to: int | None) -> None:
        wait_in("mail", 600, 0)
        wait_in("mail", 1200, priority=-5)
        wait_in("news", 240)
        using(queue="later", run_after=timedelta(hours=1)).push(tasks.noop)
        finish([using(queue="done").push(tasks.noop)])
        assert queues(count_up_to) == [("mail", 3, 20), ("news", 1, 4)]
        assert in_minutes(status.figures(count_up_to).oldest_waiting) == 20

    def test_have_the_due_tasks_that_no_server_has_made_ready(
        self, count_up_to: int | None
    ) -> None:
        wait_in("mail", 600)
        wait_in("mail", 1200, 120, state=State.DEFERRED)
        wait_in("news", 240, state=State.DEFERRED)
        assert queues(count_up_to) == [("mail", 3, 20), ("news", 1, 4)]
        figures = status.figures(count_up_to)
        assert (figures.waiting, figures.deferred) == (4, 0)

    def test_that_are_paused_say_since_when(self, count_up_to: int | None) -> None:
        wait_in("mail", 600)
        wait_in("news", 240)
        lifecycle.pause("mail")
        lifecycle.pause("quiet")
        mail, news, quiet = status.figures(count_up_to).queues
        assert mail.paused_since
        assert mail.paused_since.utcoffset() == timedelta()
        assert (mail.waiting, news.paused_since) == (1, None)
        assert (quiet.name, quiet.waiting, quiet.oldest_waiting) == ("quiet", 0, None)

    def test_are_left_out_if_they_are_too_many_and_not_paused(
        self, count_up_to: int | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queue_figures, "MOST_QUEUES", 1)
        wait_in("a", 600)
        wait_in("b", 1200)
        lifecycle.pause("c")
        assert queues(count_up_to) == [("b", 1, 20), ("c", 0, None)]
        assert status.figures(count_up_to).waiting == 2

    def test_cost_no_more_statements_if_they_are_many(self, count_up_to: int | None) -> None:
        def statements() -> int:
            with CaptureQueriesContext(connection) as queries:
                status.figures(count_up_to)
            return len(queries)

        wait_in("a", 1)
        wait_in("a", 1, state=State.DEFERRED)
        row = using(queue="blocked").push(tasks.noop)
        QueuedTasks.objects.filter(pk=row.pk).update(state=State.BLOCKED, blocked_by="smtp")
        a_server_that_runs(1)
        before = statements()
        for number in range(20):
            wait_in(f"queue {number}", 1, priority=number)
            a_server_that_runs(2)
        assert statements() == before <= 10


def a_server_that_runs(number: int) -> tuple[Servers, list[int]]:
    """Return a server with the ids of so many tasks that it has been running, the longest first."""
    server = leases.register(address="127.0.0.1", port=1, workers=9, queues=None, seconds=30)
    ids = [row.pk for row in push_many([(tasks.noop, (), {})] * number)]
    QueuedTasks.objects.filter(pk__in=ids).update(state=State.RUNNING, owner=server)
    since = datetime(2026, 11, 28, 14, 2, 3, tzinfo=UTC)
    server.running = {
        str(task_id): (since + timedelta(minutes=place)).isoformat()
        for place, task_id in enumerate(ids)
    }
    server.save()
    return server, ids


def test_a_quick_look_tells_sqlite_that_an_index_has_all_it_asks_for() -> None:
    ready = QueuedTasks.objects.filter(state=Literal(State.READY)).values("queue")
    sql, parameters = ready.query.sql_with_params()
    assert re.search(r"WHERE \S+ = 0$", sql)
    assert parameters == ()
    push_task_to_queue(tasks.noop)
    assert ready.count() == 1


class TestRunningTasks:
    """What the Workers of each server run."""

    def test_are_told_with_name_and_progress_the_longest_first(self) -> None:
        _, (first, second) = a_server_that_runs(2)
        _, (third,) = a_server_that_runs(1)
        QueuedTasks.objects.filter(pk=second).update(progress_done=3, progress_total=10)
        one, other = status.figures().servers
        assert [task.id for task in one.running_tasks] == [first, second]
        assert [task.id for task in other.running_tasks] == [third]
        task = one.running_tasks[1]
        assert task.name == "tests.site.tasks.noop"
        assert task.since == datetime(2026, 11, 28, 14, 3, 3, tzinfo=UTC)
        assert (task.progress_done, task.progress_total) == (3, 10)
        assert one.running == 2

    def test_are_only_those_that_still_run_there(self) -> None:
        server, (ended, rescued, running) = a_server_that_runs(3)
        QueuedTasks.objects.filter(pk=ended).update(state=State.READY)
        QueuedTasks.objects.filter(pk=rescued).update(owner=server.pk + 1)
        (found,) = status.figures().servers
        assert [task.id for task in found.running_tasks] == [running]

    def test_are_left_out_if_they_are_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(status, "MOST_RUNNING", 1)
        _, (longest, _) = a_server_that_runs(2)
        (found,) = status.figures().servers
        assert [task.id for task in found.running_tasks] == [longest]
        assert found.running == 2


class TestCounts:
    """How far it is counted."""

    @pytest.fixture(autouse=True)
    def three_of_each(self) -> None:
        """Store three tasks of each state."""
        finish(push_many([(tasks.noop, (), {})] * 3))
        finish(push_many([(tasks.noop, (), {})] * 3), "ValueError")
        using(run_after=timedelta(hours=1)).push_many([(tasks.noop, (), {})] * 3)
        blocked = push_many([(tasks.noop, (), {})] * 3)
        ids = [row.pk for row in blocked]
        QueuedTasks.objects.filter(pk__in=ids).update(state=State.BLOCKED, blocked_by="smtp")

    def texts(self, count_up_to: int | None) -> set[str]:
        """Return how the counts are read."""
        found = status.figures(count_up_to)
        counts = (found.deferred, found.successful, found.failed, found.blocked)
        return {count.text for count in counts}

    @pytest.mark.parametrize(
        ("count_up_to", "text"), [(None, "3"), (4, "3"), (3, "3+"), (2, "2+"), (1, "1+")]
    )
    def test_ends_where_it_is_asked_to(self, count_up_to: int | None, text: str) -> None:
        assert self.texts(count_up_to) == {text}

    def test_has_all_that_is_ready(self) -> None:
        push_many([(tasks.noop, (), {})] * 3)
        assert status.figures(1).waiting.text == "3"

    def test_says_of_a_queue_that_not_all_due_tasks_were_read(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queue_figures, "MOST_DUE", 1)
        wait_in("mail", 600, 1200, state=State.DEFERRED)
        (mail,) = status.figures(1000).queues
        assert (mail.waiting.text, in_minutes(mail.oldest_waiting)) == ("1+", 20)
        (mail,) = status.figures().queues
        assert mail.waiting.text == "2"

    def test_is_read_with_separators(self) -> None:
        assert status.Number(1234567).text == "1,234,567"
        assert status.Number(500_000, is_capped=True).text == "500,000+"


def test_nothing_is_told_of_an_empty_queue() -> None:
    figures = status.figures()
    assert (figures.queues, figures.servers, figures.waiting) == ([], [], 0)
    finish([push_task_to_queue(tasks.noop)])
    assert status.figures().queues == list[QueueFigures]()
