"""leek_status, for one task and for those that wait at gates."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from leek import leases, status
from leek.api import push_many, push_task_to_queue, using
from leek.explaining import explain
from leek.lifecycle import note_outage
from leek.models import FailedAttempts, Gates, QueuedTasks, Servers, State
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import finish, manage, run, wait_until

pytestmark = pytest.mark.any_version

LATER = datetime(2050, 1, 2, 3, 4, 5, tzinfo=UTC)


def reason(row: QueuedTasks, *, is_listening: bool = False) -> str:
    """Return why a task is where it is."""
    return explain(row.pk, lambda: is_listening).explanation


def a_server(port: int, *, queues: list[str] | None = None, seconds: float = 30) -> Servers:
    """Return a server with a lease."""
    return leases.register(
        address="127.0.0.1", port=port, workers=1, queues=queues, seconds=seconds
    )


@pytest.mark.django_db
class TestATask:
    """Why a task is where it is."""

    def test_that_waits_without_a_server(self, port: int) -> None:
        row = push_task_to_queue(tasks.noop)
        nobody = f"waiting: no server is listening at localhost:{port}"
        assert reason(row) == nobody
        a_server(port)  # it was killed
        a_server(port + 1, seconds=-1)
        assert reason(row) == nobody

    def test_that_waits_in_a_queue_that_nobody_serves(self, port: int) -> None:
        row = using(queue="mail").push(tasks.noop)
        a_server(port, queues=["default"])
        unserved = 'waiting: no running server serves the queue "mail"'
        assert reason(row, is_listening=True) == unserved
        a_server(port + 1, queues=["mail", "other"])
        assert reason(row, is_listening=True) != unserved

    def test_that_waits_for_its_turn(self, port: int) -> None:
        a_server(port)
        push_many([(tasks.noop, (), {})] * 2)
        row = push_task_to_queue(tasks.noop)
        using(priority=5).push(tasks.noop)
        using(priority=-5).push(tasks.noop)
        assert reason(row, is_listening=True) == "waiting: 3 task(s) of its queue are ahead of it"

    def test_that_is_deferred(self) -> None:
        row = using(run_after=LATER).push(tasks.noop)
        assert reason(row) == "deferred until 2050-01-02 03:04:05+00:00"

    def test_whose_time_has_come(self, port: int) -> None:
        row = using(run_after=LATER).push(tasks.noop)
        QueuedTasks.objects.update(run_after=timezone.now())
        assert reason(row) == f"waiting: no server is listening at localhost:{port}"

    def test_that_is_tried_again(self) -> None:
        row = using(run_after=LATER).push(tasks.noop)
        QueuedTasks.objects.update(tries=1)
        FailedAttempts.objects.create(
            task=row,
            attempt=1,
            exception_type="smtplib.SMTPException",
            exception_message="no\nroom",
            traceback="",
            started_at=LATER,
            finished_at=LATER,
        )
        assert reason(row) == (
            "deferred until 2050-01-02 03:04:05+00:00, after attempt 1 failed:"
            " smtplib.SMTPException: no room"
        )

    def test_that_is_parked(self) -> None:
        row = using(run_after=LATER).push(tasks.noop)
        QueuedTasks.objects.update(parked_since=LATER - timedelta(hours=1))
        assert reason(row) == (
            "parked until 2050-01-02 03:04:05+00:00:"
            " it has not imported since 2050-01-02 02:04:05+00:00"
        )

    def test_that_is_suspect(self, port: int) -> None:
        a_server(port)
        row = push_task_to_queue(tasks.noop)
        QueuedTasks.objects.update(state=State.DEFERRED, suspect=True)
        assert reason(row, is_listening=True).startswith("waiting to run alone")

    def test_that_is_blocked_by_an_outage(self) -> None:
        row = blocked_at("smtp")
        assert reason(row) == "blocked by smtp"
        note_outage("smtp", "ConnectionRefusedError")
        Gates.objects.update(closed_since=LATER)
        assert (
            reason(row) == "blocked by smtp since 2050-01-02 03:04:05+00:00: ConnectionRefusedError"
        )

    @pytest.mark.parametrize(
        ("capacity", "period", "most"), [(3, None, "3 at a time"), (5, 60.0, "5 in 60 s")]
    )
    def test_that_is_blocked_by_a_limit(
        self, capacity: int, period: float | None, most: str
    ) -> None:
        row = blocked_at("limit:x")
        now = timezone.now()
        Gates.objects.create(name="limit:x", capacity=capacity, period=period, used_at=now)
        assert reason(row) == f"blocked by limit:x, which lets through {most}"

    def test_that_runs(self) -> None:
        server = a_server(8002)
        row = push_task_to_queue(tasks.noop)
        QueuedTasks.objects.update(state=State.RUNNING, owner=server, tries=1)
        assert reason(row) == f"running on {server}, attempt 2"
        QueuedTasks.objects.update(progress_done=3)
        assert reason(row).endswith(", attempt 2, 3")
        QueuedTasks.objects.update(progress_total=10)
        assert reason(row).endswith(", attempt 2, 3 of 10")

    def test_that_a_dead_server_runs(self) -> None:
        server = a_server(8002, seconds=-1)
        row = push_task_to_queue(tasks.noop)
        QueuedTasks.objects.update(state=State.RUNNING, owner=server)
        assert reason(row) == f"running on {server}, whose lease is over, attempt 1"
        server.delete()
        assert "on a server that is gone" in reason(row)

    def test_that_its_pusher_runs(self) -> None:
        row = push_task_to_queue(tasks.noop)
        QueuedTasks.objects.update(state=State.RUNNING)
        assert reason(row) == "running in the process that pushed it, attempt 1"

    def test_that_has_succeeded(self) -> None:
        row = push_task_to_queue(tasks.noop)
        finish([row], ended=LATER)
        assert reason(row) == "succeeded at 2050-01-02 03:04:05+00:00, in 0.000 s"

    def test_that_has_failed(self) -> None:
        row = push_task_to_queue(tasks.noop)
        finish([row], "ValueError", ended=LATER)
        assert reason(row) == "failed at 2050-01-02 03:04:05+00:00: ValueError: as asked"

    def test_that_was_cancelled(self) -> None:
        row = push_task_to_queue(tasks.noop)
        row.cancel()
        assert reason(row).endswith("TaskCancelled: cancelled before it began")


def blocked_at(gate: str, number: int = 1) -> QueuedTasks:
    """Return the row of the last of so many tasks that wait at a gate."""
    rows = push_many([(tasks.noop, (), {})] * number)
    ids = [row.pk for row in rows]
    QueuedTasks.objects.filter(pk__in=ids).update(state=State.BLOCKED, blocked_by=gate)
    return rows[-1]


@pytest.mark.django_db
class TestTheCommand:
    """leek_status <id>"""

    def test_prints_a_line(self, port: int) -> None:
        row = push_task_to_queue(tasks.noop)
        assert run("leek_status", str(row.pk)) == (
            f"Task {row.pk} tests.site.tasks.noop:"
            f" waiting: no server is listening at localhost:{port}\n"
        )

    def test_prints_json(self, port: int) -> None:
        row = using(queue="mail", run_after=LATER).push(tasks.noop)
        assert json.loads(run("leek_status", "--json", str(row.pk))) == {
            "id": row.pk,
            "name": "tests.site.tasks.noop",
            "queue": "mail",
            "priority": 0,
            "status": "READY",
            "explanation": "deferred until 2050-01-02 03:04:05+00:00",
        }

    def test_says_that_there_is_no_such_task(self) -> None:
        with pytest.raises(CommandError, match="no task 4711") as caught:
            run("leek_status", "4711")
        assert caught.value.returncode == 1

    @pytest.mark.parametrize("text", ["nonsense", "-1", "0", "1.5", "9" * 20])
    def test_refuses_what_is_neither_question_nor_id(self, text: str) -> None:
        with pytest.raises(CommandError):
            run("leek_status", text)


def test_a_real_server_is_named(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server()
    gate = tmp_path / "gate"
    row = push_task_to_queue(tasks.wait_for, str(gate))
    wait_until(Path(f"{gate}.begun").exists)
    answer = manage("leek_status", str(row.pk))
    assert answer.returncode == 0
    assert f":{server.port} (process {server.process.pid}), attempt 1" in answer.stdout
    gate.touch()
    row.wait(60)


def glance(*arguments: str) -> str:
    """Return what leek_status prints where no server listens."""
    printed = StringIO()
    with pytest.raises(CommandError, match="No leek_server answers"):
        call_command("leek_status", *arguments, stdout=printed)
    return printed.getvalue()


@pytest.mark.django_db
class TestTheGlance:
    """leek_status: what is blocked, and by what."""

    @pytest.fixture(autouse=True)
    def gates(self, port: int) -> None:
        """Have tasks wait at two gates, of which one is known more of."""
        blocked_at("smtp", 1000)
        blocked_at("limit:x", 2)
        note_outage("smtp", "Connection\nrefused")
        note_outage("tcp:host:1", "nobody waits for it")
        Gates.objects.filter(name="smtp").update(closed_since=LATER)

    def test_has_a_line_for_each_gate(self) -> None:
        assert (
            "Failed: 0\n"
            "Blocked: 1,002\n"
            "Gate smtp: 1,000 task(s), since 2050-01-02 03:04:05+00:00: Connection refused\n"
            "Gate limit:x: 2 task(s)\n"
        ) in glance()

    def test_tells_of_them_as_json(self) -> None:
        figures = json.loads(glance("--json"))
        assert figures["blocked"] == 1002
        assert figures["gates"] == [
            {
                "name": "smtp",
                "tasks": 1000,
                "since": "2050-01-02 03:04:05+00:00",
                "reason": "Connection\nrefused",
            },
            {"name": "limit:x", "tasks": 2, "since": None, "reason": ""},
        ]

    def test_leaves_out_gates_if_they_are_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(status, "MOST_GATES", 1)
        assert [gate.name for gate in status.figures().gates] == ["smtp"]
