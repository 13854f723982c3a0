"""The commands, as an operator types them."""

import json
import re
import time
from datetime import timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from leek import agenda, status, upkeep
from leek.api import push_many, push_task_to_queue, using
from leek.models import FailedTasks, QueuedTasks, State, SuccessTasks
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import GIVE_UP_AFTER, finish, free_port, manage, run, wait_until


class TestStatus:
    """leek_status, for a running, a stopped and an absent server."""

    def test_prints_exactly_two_lines_for_a_question(self, start_server: StartServer) -> None:
        start_server()
        for _ in range(3):
            push_task_to_queue(tasks.noop).wait(60)
        for question, received in (
            ("ping", """(True, "I'm OK")"""),
            ("waiting", "(True, 0)"),
            ("handled", "(True, 3)"),
        ):
            answer = manage("leek_status", question)
            assert answer.stdout == f"Sent: {question}\nReceived: {received}\n"
            assert (answer.returncode, answer.stderr) == (0, "")

    def test_says_that_the_worker_is_off(self, start_server: StartServer) -> None:
        server = start_server()
        assert manage("leek_stop", "--worker-only").stdout == "Worker off.\n"
        push_task_to_queue(tasks.noop)
        for question in ("ping", "waiting", "handled"):
            answer = manage("leek_status", question)
            assert answer.stdout == f"Sent: {question}\nReceived: (False, 'Worker Off')\n"
            assert (answer.returncode, answer.stderr) == (1, "")
        assert manage("leek_status").returncode == 1
        assert not server.ended
        assert QueuedTasks.objects.get().state == State.READY

    @pytest.mark.django_db(transaction=True)
    def test_says_in_one_line_that_there_is_no_server(self, port: int) -> None:
        for arguments in (("ping",), ("waiting",), ("handled",)):
            answer = manage("leek_status", *arguments)
            assert answer.stdout == ""
            assert f"No leek_server answers at localhost:{port}" in answer.stderr
            assert answer.stderr.count("\n") == 1
            assert answer.returncode == 2

    @pytest.mark.django_db(transaction=True)
    def test_tells_the_figures_although_there_is_no_server(self, port: int) -> None:
        push_task_to_queue(tasks.noop)
        using(run_after=timedelta(hours=1)).push(tasks.noop)
        answer = manage("leek_status")
        assert answer.stdout.startswith("Oldest waiting task: ")
        assert "\nWaiting: 1\nDeferred: 1\nRunning: 0\nSuccessful: 0\nFailed: 0\n" in answer.stdout
        assert f"Worker at localhost:{port}: no server" in answer.stdout
        assert answer.returncode == 2

    def test_says_in_one_line_that_the_database_is_away(self, tmp_path: Path) -> None:
        place = f"127.0.0.1:{free_port()}"
        if connection.vendor == "sqlite":
            place = f"/{tmp_path}/missing"
        away = {"DATABASE_URL": f"{connection.vendor}://{place}/leek", "TESTS_DATABASE_NAME": ""}
        answer = manage("leek_status", **away)
        assert (answer.returncode, answer.stdout) == (1, "")
        assert answer.stderr.startswith("CommandError: The database fails: ")
        assert answer.stderr.count("\n") == 1

    def test_tells_everything_as_json(self, start_server: StartServer) -> None:
        server = start_server("--workers", "2", "--queues", "mail")
        answer = manage("leek_status", "--json")
        figures = json.loads(answer.stdout)
        assert answer.returncode == 0
        assert figures["worker_on"] is True
        assert (figures["waiting"], figures["oldest_waiting"]) == (0, None)
        (found,) = figures["servers"]
        assert (found["port"], found["workers"], found["queues"]) == (server.port, 2, ["mail"])
        assert found["weights"] is None
        asked = json.loads(manage("leek_status", "ping", "--json").stdout)
        assert asked == {"sent": "ping", "received": [True, "I'm OK"]}

    def test_tells_the_queues_of_a_server_with_their_weights(
        self, start_server: StartServer
    ) -> None:
        start_server("--queues", "default=3,mail-*=1")
        (found,) = json.loads(manage("leek_status", "--json").stdout)["servers"]
        assert sorted(found["queues"]) == ["default", "mail-*"]
        assert found["weights"] == {"default": 3, "mail-*": 1}
        assert re.search(
            "queues (default=3, mail-[*]=1|mail-[*]=1, default=3), 0 task",
            manage("leek_status").stdout,
        )


@pytest.mark.django_db
class TestOldestWaiting:
    """The figure that leek_status leads with: the age of the oldest task that is due."""

    def test_is_none_where_nothing_is_due(self) -> None:
        finish([push_task_to_queue(tasks.noop)])
        using(run_after=timedelta(hours=1)).push(tasks.noop)
        assert status.figures().oldest_waiting is None

    def test_is_counted_from_the_push_of_the_oldest(self) -> None:
        for hours in (1, 3, 2):
            due(push_task_to_queue(tasks.noop), timedelta(hours=hours))
        assert_seconds(status.figures().oldest_waiting, 3 * 3600)

    def test_is_counted_from_the_due_time_of_a_deferred_task(self) -> None:
        row = using(run_after=timedelta(minutes=50)).push(tasks.noop)
        QueuedTasks.objects.update(pushed_at=timezone.now() - timedelta(hours=1))
        due(row, timedelta(minutes=10))
        push_task_to_queue(tasks.noop)
        assert_seconds(status.figures().oldest_waiting, 600)


def due(row: QueuedTasks, ago: timedelta) -> None:
    """Let a task have been due for so long, in the state that it is in."""
    QueuedTasks.objects.filter(pk=row.pk).update(run_after=timezone.now() - ago)


def assert_seconds(age: float | None, expected: float) -> None:
    """Assert an age that grows while the test runs."""
    assert age is not None
    assert expected <= age < expected + GIVE_UP_AFTER


class TestStop:
    """leek_stop."""

    def test_returns_when_the_server_is_gone(self, start_server: StartServer) -> None:
        server = start_server()
        answer = manage("leek_stop")
        assert (answer.returncode, answer.stdout) == (0, "Server stopped.\n")
        assert manage("leek_status", "ping").returncode == 2
        assert server.wait() == 0

    def test_stops_a_server_whose_worker_is_off(self, start_server: StartServer) -> None:
        server = start_server()
        for _ in range(2):
            assert manage("leek_stop", "--worker-only").returncode == 0
        assert manage("leek_stop").returncode == 0
        assert server.wait() == 0

    @pytest.mark.django_db(transaction=True)
    def test_says_that_there_is_no_server(self, port: int) -> None:
        answer = manage("leek_stop")
        assert answer.returncode == 2
        assert f"localhost:{port}" in answer.stderr

    def test_is_not_obeyed_without_the_secret(self, start_server: StartServer) -> None:
        server = start_server()
        refused = manage("leek_stop", TESTS_SECRET_KEY="another")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr == "CommandError: leek_server refuses: wrong secret.\n"
        assert manage("leek_status", "ping").returncode == 0
        assert not server.ended

    def test_is_obeyed_while_the_secret_changes(self, start_server: StartServer) -> None:
        old = start_server(TESTS_SECRET_KEY="former")
        changed = {"TESTS_SECRET_KEY": "latter", "TESTS_SECRET_KEY_FALLBACKS": "former"}
        assert manage("leek_stop", **changed).returncode == 0
        assert old.wait() == 0
        new = start_server(**changed)
        assert manage("leek_stop", TESTS_SECRET_KEY="former").returncode == 0
        assert new.wait() == 0


@pytest.mark.django_db
class TestPush:
    """leek_push."""

    def test_pushes_a_task(self) -> None:
        printed = run(
            "leek_push",
            "tests.site.tasks.echo",
            "--args=[1, [2]]",
            '--kwargs={"urgent": true}',
            "--queue=mail",
            "--priority=5",
        )
        row = QueuedTasks.objects.get()
        assert printed == f"Pushed task {row.pk}.\n"
        assert (row.name, row.queue, row.priority) == ("tests.site.tasks.echo", "mail", 5)
        assert '"args": [1, [2]], "kwargs": {"urgent": true}' in row.payload

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["tests.site.tasks.missing"], "missing"),
            (["nowhere"], "dotted path"),
            (["tests.site.tasks.add", "--args=[1]"], "second"),
            (["tests.site.tasks.add", "--args={}"], "not a JSON list"),
            (["tests.site.tasks.add", "--args=[1"], "not a JSON list"),
            (["tests.site.tasks.add", "--kwargs=[]"], "not a JSON object"),
            (["tests.site.tasks.noop", "--priority=500"], "priority is 500"),
        ],
    )
    def test_refuses_by_name(self, arguments: list[str], message: str) -> None:
        with pytest.raises(CommandError, match=message):
            run("leek_push", *arguments)
        assert not QueuedTasks.objects.exists()


@pytest.mark.django_db
class TestPause:
    """leek_pause and leek_resume."""

    def test_pauses_queues_until_they_are_resumed(self) -> None:
        printed = run("leek_pause", "mail", "news", "mail")
        assert printed.splitlines() == [
            "Queue mail is paused.",
            "Queue news is paused.",
            "Queue mail is paused already.",
        ]
        assert agenda.paused_queues() == {"mail", "news"}
        printed = run("leek_resume", "mail", "mail")
        assert printed.splitlines() == ["Queue mail goes on.", "Queue mail was not paused."]
        assert agenda.paused_queues() == {"news"}

    @pytest.mark.parametrize("command", ["leek_pause", "leek_resume"])
    def test_refuses_what_is_no_name_of_a_queue(self, command: str) -> None:
        with pytest.raises(CommandError, match="queue is"):
            run(command, "x" * 101)


@pytest.mark.django_db
class TestPurge:
    """leek_purge."""

    def test_deletes_successes_with_their_outcome(self) -> None:
        finish(push_many([(tasks.noop, (), {})] * 5))
        (failed,) = finish([push_task_to_queue(tasks.noop)], error="ValueError")
        waiting = push_task_to_queue(tasks.noop)
        assert run("leek_purge", "--dry-run") == "Would delete 5 tasks.\n"
        assert run("leek_purge") == "Deleted 5 tasks.\n"
        assert sorted(QueuedTasks.objects.values_list("pk", flat=True)) == [failed, waiting.pk]
        assert not SuccessTasks.objects.exists()
        assert FailedTasks.objects.count() == 1

    def test_deletes_failed_tasks_or_both_when_asked(self) -> None:
        finish(push_many([(tasks.noop, (), {})] * 2))
        finish(push_many([(tasks.noop, (), {})] * 3), error="ValueError")
        assert run("leek_purge", "--all", "--dry-run") == "Would delete 5 tasks.\n"
        assert run("leek_purge", "--failed") == "Deleted 3 tasks.\n"
        assert run("leek_purge", "--all") == "Deleted 2 tasks.\n"
        assert not QueuedTasks.objects.exists()

    @pytest.mark.parametrize(("age", "left"), [("30m", 0), ("2h", 0), ("3h", 1), ("1d", 1)])
    def test_spares_what_is_younger(self, age: str, left: int) -> None:
        finish([push_task_to_queue(tasks.noop)], ended=timezone.now() - timedelta(hours=2.5))
        run("leek_purge", "--older-than", age)
        assert QueuedTasks.objects.count() == left

    @pytest.mark.parametrize("age", ["soon", "7", "7 days", "-1d", "1y", "99999999999999w"])
    def test_refuses_what_is_no_age(self, age: str) -> None:
        with pytest.raises(CommandError, match="age"):
            run("leek_purge", f"--older-than={age}")

    def test_works_in_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        have_batches_of_seven(monkeypatch)
        finish(push_many([(tasks.noop, (), {})] * 20))
        assert list(upkeep.purge(upkeep.successes())) == [7, 7, 6]

    def test_asks_for_each_batch_alike_however_many_there_were(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        have_batches_of_seven(monkeypatch)
        finish(push_many([(tasks.noop, (), {})] * 20))
        with CaptureQueriesContext(connection) as queries:
            assert sum(upkeep.purge(upkeep.successes())) == 20
        table = connection.ops.quote_name(SuccessTasks._meta.db_table)
        statements = [query["sql"] for query in queries]
        asked = [sql for sql in statements if sql.startswith(f"SELECT {table}")]
        assert len(asked) == 4
        assert len({re.sub(r"\d+", "N", sql) for sql in asked}) == 1

    def test_rests_between_batches_where_others_could_not_write_otherwise(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rests: list[float] = []
        clock = SimpleNamespace(monotonic=time.monotonic, sleep=rests.append)
        monkeypatch.setattr(upkeep, "time", clock)
        have_batches_of_seven(monkeypatch)
        finish(push_many([(tasks.noop, (), {})] * 20))
        assert sum(upkeep.purge(upkeep.successes())) == 20
        assert len(rests) == 3
        # SQLite has who finds another writer sleep for up to 25 ms, and then look again.
        assert all(rest > 0.025 if connection.vendor == "sqlite" else rest == 0 for rest in rests)


def have_batches_of_seven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have rows purged, or pushed back, by seven, however long that takes."""
    for name, value in (("FIRST_BATCH", 7), ("LARGEST_BATCH", 7), ("SOON", float("inf"))):
        monkeypatch.setattr(upkeep, name, value)


@pytest.mark.django_db
class TestRetryFailed:
    """leek_retry_failed."""

    @pytest.fixture
    def failed(self) -> dict[str, int]:
        """Return the ids of three failed tasks, by a word for each."""
        mail = using(queue="mail").push(tasks.add, 1, 2)
        finish([mail], error="smtplib.SMTPException")
        plain = push_task_to_queue(tasks.noop)
        finish([plain], error="ValueError")
        old = push_task_to_queue(tasks.noop)
        finish([old], error="ValueError", ended=timezone.now() - timedelta(days=2))
        return {"mail": mail.pk, "plain": plain.pk, "old": old.pk}

    @pytest.mark.parametrize(
        ("arguments", "chosen"),
        [
            ([], {"mail", "plain", "old"}),
            (["--task=tests.site.tasks.add"], {"mail"}),
            (["--queue=mail"], {"mail"}),
            (["--exception=SMTPException"], {"mail"}),
            (["--exception=smtplib.SMTPException"], {"mail"}),
            (["--exception=ValueError"], {"plain", "old"}),
            (["--exception=Error"], set()),
            ([f"--since={timezone.now() - timedelta(days=1):%Y-%m-%dT%H:%M}"], {"mail", "plain"}),
            ([f"--since={timezone.now() - timedelta(days=9):%Y-%m-%d}"], {"mail", "plain", "old"}),
        ],
    )
    def test_pushes_back_what_is_chosen(
        self, failed: dict[str, int], arguments: list[str], chosen: set[str]
    ) -> None:
        ids = {failed[word] for word in chosen}
        would = f"Would push back {len(ids)} tasks.\n"
        assert run("leek_retry_failed", "--dry-run", *arguments) == would
        assert FailedTasks.objects.count() == 3
        assert run("leek_retry_failed", *arguments) == f"Pushed back {len(ids)} tasks.\n"
        assert set(QueuedTasks.objects.ready().values_list("pk", flat=True)) == ids
        assert FailedTasks.objects.count() == 3 - len(ids)

    def test_pushes_back_by_id(self, failed: dict[str, int]) -> None:
        printed = run("leek_retry_failed", str(failed["plain"]), str(failed["old"]))
        assert printed == "Pushed back 2 tasks.\n"

    @pytest.mark.parametrize(
        ("more", "said"), [((), "Pushed back 1"), (("--dry-run",), "Would push back 1")]
    )
    def test_names_the_ids_of_tasks_that_have_not_failed(
        self, failed: dict[str, int], more: tuple[str, ...], said: str
    ) -> None:
        unknown, waiting = failed["old"] + 1000, push_task_to_queue(tasks.noop).pk
        printed, complained = StringIO(), StringIO()
        ids = map(str, (unknown, failed["old"], waiting, unknown))
        call_command("leek_retry_failed", *ids, *more, stdout=printed, stderr=complained)
        assert printed.getvalue() == f"{said} tasks.\n"
        assert complained.getvalue() == (
            f"Left 2 task(s) that have not failed: {unknown}, {waiting}."
            " leek_status <id> tells what became of one.\n"
        )

    def test_refuses_what_is_no_time(self) -> None:
        with pytest.raises(CommandError, match="yesterday is not a time"):
            run("leek_retry_failed", "--since=yesterday")

    def test_works_in_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        have_batches_of_seven(monkeypatch)
        finish(push_many([(tasks.noop, (), {})] * 20), error="ValueError")
        batches = [batch.number for batch in upkeep.retry(upkeep.failures())]
        assert batches == [7, 7, 6]


@pytest.mark.logs_errors
def test_a_failed_task_runs_again(start_server: StartServer, tmp_path: Any) -> None:
    start_server(LEEK_MAX_RETRIES="1")
    row = push_task_to_queue(tasks.fail_until, str(tmp_path / "tries"), 2)

    def has_failed() -> bool:
        row.refresh_from_db()
        return row.state == State.FAILED

    wait_until(has_failed)
    run("leek_retry_failed")
    row.refresh_from_db()
    assert row.wait(60) == 2
    assert row.tries == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers=0"], "--workers: '0'. Give a whole number from 1"),
        (["--max-tasks=-1"], "--max-tasks: '-1'. Give a whole number from 1"),
        (["--shutdown-timeout=-1"], "--shutdown-timeout: '-1'. Give seconds: a number from 0"),
        (["--shutdown-timeout=inf"], "--shutdown-timeout: 'inf'"),
        (["--idle-timeout=soon"], "--idle-timeout: 'soon'"),
        (["--queues=,"], "--queues: ','. Give a list of names"),
        (["--queues=mail=0"], "--queues: 'mail=0'. Give a list of names"),
        (["--port=70000"], "--port: '70000'. Give a port number from 0 to 65535"),
        (["--host=no.such.host.invalid"], "cannot listen"),
    ],
)
def test_leek_server_refuses_by_name(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=re.escape(message)):
        run("leek_server", "--port=0", *arguments)
