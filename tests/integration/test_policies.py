"""What functions and pushes say of how a task is tried, at real servers."""

from pathlib import Path

import pytest
from django.db import connection

from leek.api import push_task_to_queue, using
from leek.exceptions import InvalidTask, TaskFailed
from leek.lifecycle.settling import ATTEMPTS_KEPT
from leek.models import FailedAttempts, QueuedTasks, State
from leek.upkeep import failures, purge
from tests.conftest import StartServer
from tests.site import policies, tasks
from tests.support import run, run_at

pytestmark = pytest.mark.django_db


def types_of_attempts(row: QueuedTasks) -> list[tuple[int, str]]:
    """Return the attempts of a task that failed, with the types of their errors."""
    attempts = row.failed_attempts.order_by("attempt")
    return list(attempts.values_list("attempt", "exception_type"))


class TestATask:
    """What becomes of a task with a policy."""

    def test_is_tried_as_often_as_its_function_says(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server()
        row = push_task_to_queue(policies.stubborn, str(tmp_path / "marker"), 4)
        assert row.wait(60) == 4
        assert row.tries == 4

    @pytest.mark.logs_errors
    def test_is_tried_as_often_as_its_push_says(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server()
        row = using(max_retries=3).push(policies.stubborn, str(tmp_path / "marker"), 4)
        with pytest.raises(TaskFailed, match="try 3"):
            row.wait(60)
        assert row.tries == 3

    @pytest.mark.logs_errors
    def test_keeps_what_went_wrong_each_time(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server()
        row = using(max_retries=3).push(policies.stubborn, str(tmp_path / "marker"), 4)
        with pytest.raises(TaskFailed):
            row.wait(60)
        attempts = [*row.failed_attempts.order_by("attempt")]
        assert [each.exception_message for each in attempts] == ["try 1", "try 2", "try 3"]
        assert all("in fail_until" in each.traceback for each in attempts)
        assert all(each.started_at <= each.finished_at for each in attempts)

    def test_keeps_what_went_wrong_before_it_succeeded(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server()
        row = push_task_to_queue(policies.stubborn, str(tmp_path / "marker"), 3)
        row.wait(60)
        assert types_of_attempts(row) == [(1, "ValueError"), (2, "ValueError")]

    def test_keeps_the_first_and_the_latest_of_many_attempts(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server()
        tries = ATTEMPTS_KEPT + 6
        pushed = using(max_retries=tries, retry_delay=[0])
        row = pushed.push(tasks.fail_until, str(tmp_path / "marker"), tries)
        assert row.wait(60) == tries
        numbers = [attempt for attempt, _ in types_of_attempts(row)]
        assert numbers == [1, *range(tries - ATTEMPTS_KEPT, tries)]

    @pytest.mark.logs_errors
    def test_is_pushed_where_its_function_says(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        row = push_task_to_queue(policies.impatient, str(tmp_path / "marker"))
        assert (row.queue, row.priority) == ("mail", 7)
        elsewhere = using(queue="slow", priority=0).push(policies.impatient, "marker")
        assert (elsewhere.queue, elsewhere.priority) == ("slow", 0)

    @pytest.mark.logs_errors
    @pytest.mark.parametrize(("error", "tries"), [("os", 5), ("value", 1), ("refused", 1)])
    def test_is_tried_again_after_chosen_errors_only(
        self, start_server: StartServer, error: str, tries: int
    ) -> None:
        start_server()
        row = push_task_to_queue(policies.particular, error)
        with pytest.raises(TaskFailed, match=error):
            row.wait(60)
        assert row.tries == tries

    @pytest.mark.logs_errors
    def test_may_give_up(self, start_server: StartServer) -> None:
        start_server()
        row = push_task_to_queue(policies.give_up)
        with pytest.raises(TaskFailed, match=r"leek\.exceptions\.GiveUp: no such user"):
            row.wait(60)
        assert row.tries == 1

    def test_may_say_when_it_wants_to_be_tried_again(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server(LEEK_RETRY_DELAY="3600")
        row = push_task_to_queue(policies.ask_again, str(tmp_path / "marker"), 0.01)
        assert row.wait(60) == 3
        assert types_of_attempts(row)[0] == (1, "leek.exceptions.Retry")

    @pytest.mark.logs_errors
    def test_fails_where_its_delay_cannot_be_told(self, start_server: StartServer) -> None:
        start_server()
        row = push_task_to_queue(policies.confused)
        with pytest.raises(TaskFailed, match="as asked"):
            row.wait(60)
        assert row.exception
        assert "because retry_delay raised KeyError(1)" in row.exception.traceback

    @pytest.mark.logs_errors
    @pytest.mark.parametrize("arguments", [(), ("--isolate",)])
    def test_has_a_time_limit_of_its_own(
        self, start_server: StartServer, arguments: tuple[str, ...]
    ) -> None:
        start_server(*arguments, LEEK_TIMEOUT="3600")
        row = push_task_to_queue(policies.hurried)
        with pytest.raises(TaskFailed, match=r"TaskTimeout: it ran longer than 0\.2 s"):
            row.wait(60)
        assert row.tries == 1

    @pytest.mark.logs_errors
    def test_is_killed_in_a_child_process_at_its_own_time_limit(
        self, start_server: StartServer
    ) -> None:
        start_server("--isolate")
        row = push_task_to_queue(policies.stuck)
        with pytest.raises(TaskFailed, match=r"longer than 0\.2 s, and its process was killed"):
            row.wait(60)
        assert (row.tries, row.crashes) == (1, 0)

    def test_keeps_its_policy_in_a_child_process(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server("--isolate")
        row = using(retry_delay=[0]).push(policies.stubborn, str(tmp_path / "marker"), 4)
        assert row.wait(60) == 4


@pytest.mark.logs_errors
def test_failed_attempts_are_purged_with_their_task(
    start_server: StartServer, tmp_path: Path
) -> None:
    start_server()
    row = push_task_to_queue(policies.impatient, str(tmp_path / "marker"))
    with pytest.raises(TaskFailed):
        row.wait(60)
    assert FailedAttempts.objects.count() == 2
    assert sum(purge(failures())) == 1
    assert not FailedAttempts.objects.exists()


@pytest.mark.logs_errors
def test_a_task_that_is_pushed_back_starts_with_a_clean_record(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server()
    row = push_task_to_queue(policies.impatient, str(tmp_path / "marker"))
    with pytest.raises(TaskFailed):
        row.wait(60)
    server.terminate()
    run("leek_retry_failed")
    row.refresh_from_db()
    assert row.state == State.READY
    assert not FailedAttempts.objects.exists()


def refuse_what_is_atomic_elsewhere() -> None:
    """Push atomic tasks at a site whose queue is in another database."""
    with pytest.raises(
        InvalidTask, match=r'is to be atomic in the database "default", but the queue is in "queue"'
    ):
        push_task_to_queue(policies.count, "x")
    with pytest.raises(InvalidTask, match=r"atomic is 'elsewhere'"):
        using(atomic="elsewhere")


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the two databases are files of SQLite")
def test_an_atomic_task_of_another_database_is_refused(tmp_path: Path) -> None:
    run_at("tests.two_databases", refuse_what_is_atomic_elsewhere, TESTS_HOME=str(tmp_path))
