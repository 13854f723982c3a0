"""leek_status --max-age and --max-failed: exit codes for whoever keeps watch."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from leek.api import push_many, push_task_to_queue
from leek.models import QueuedTasks
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import finish, manage

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.any_database,
    pytest.mark.any_version,
]


def wait_for_hours(hours: int) -> None:
    """Push a task that nobody here runs, and that has been due for so long."""
    row = push_task_to_queue(tasks.noop)
    due = timezone.now() - timedelta(hours=hours)
    QueuedTasks.objects.filter(pk=row.pk).update(run_after=due)


def fail(number: int) -> None:
    """Have so many tasks fail."""
    finish(push_many([(tasks.noop, (), {})] * number), "ValueError")


class TestWithTheWorkerOn:
    """Nothing but the thresholds decides."""

    @pytest.fixture(autouse=True)
    def server(self, start_server: StartServer) -> None:
        """Start a server for another queue."""
        start_server("--queues", "other")

    def test_all_is_fine_up_to_the_thresholds(self) -> None:
        wait_for_hours(1)
        fail(2)
        answer = manage("leek_status", "--max-age", "2h", "--max-failed", "2")
        assert (answer.returncode, answer.stderr) == (0, "")
        assert "Failed: 2" in answer.stdout

    def test_nothing_waits_too_long_where_nothing_waits(self) -> None:
        assert manage("leek_status", "--max-age", "0").returncode == 0

    @pytest.mark.parametrize("age", ["60", "60.0", "60s", "1m"])
    def test_one_line_tells_by_how_much_a_task_is_too_old(self, age: str) -> None:
        wait_for_hours(1)
        answer = manage("leek_status", "--max-age", age, "--max-failed", "0")
        assert answer.returncode == 3
        (line,) = answer.stderr.splitlines()
        assert line.startswith("CommandError: The oldest waiting task has waited 36")
        assert line.endswith(" s more than --max-age 60.")
        assert "Waiting: 1" in answer.stdout

    def test_one_line_tells_of_both(self) -> None:
        wait_for_hours(1)
        fail(3)
        answer = manage("leek_status", "--json", "--max-age", "60", "--max-failed", "1")
        assert answer.returncode == 3
        (line,) = answer.stderr.splitlines()
        assert line.endswith("--max-age 60. 3 tasks have failed, 2 more than --max-failed 1.")


def test_a_worker_that_is_off_is_worse(start_server: StartServer) -> None:
    start_server()
    assert manage("leek_stop", "--worker-only").returncode == 0
    fail(1)
    answer = manage("leek_status", "--max-failed", "0")
    assert answer.returncode == 1
    assert "1 tasks have failed" not in answer.stderr
    assert "1 task has failed, 1 more than --max-failed 0." in answer.stderr
    assert manage("leek_status", "--max-failed", "1").returncode == 1


def test_no_server_is_the_worst(port: int) -> None:
    fail(2)
    with pytest.raises(CommandError, match="No leek_server answers") as caught:
        call_command("leek_status", "--max-failed", "0", stdout=StringIO())
    assert caught.value.returncode == 2
    assert str(caught.value).endswith("2 tasks have failed, 2 more than --max-failed 0.")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--max-age", "-1"],
        ["--max-age", "nan"],
        ["--max-age", "5 minutes"],
        ["--max-age", "9999999w"],
        ["--max-age", "1" * 400],
        ["--max-failed", "-1"],
        ["--max-failed", "1.5"],
        ["--max-failed", "many"],
        ["--max-age", "60", "ping"],
        ["--max-failed", "0", "4711"],
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], port: int) -> None:
    with pytest.raises(CommandError) as caught:
        call_command("leek_status", *arguments)
    assert arguments[0] in str(caught.value)
