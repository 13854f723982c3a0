"""leek_status, for one task and for those that wait at gates."""

import json
import re
import struct
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone, translation

from leek import agenda, leases, lifecycle, serializer, status
from leek.api import push_many, push_task_to_queue, using
from leek.conditions import Rate
from leek.explaining import case, explain
from leek.lifecycle import note_outage
from leek.models import FailedAttempts, Gates, PausedQueues, QueuedTasks, Servers, State
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import GIVE_UP_AFTER, finish, manage, run, wait_until

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

    def test_that_waits_for_a_server_of_another_host(self, port: int) -> None:
        row = push_task_to_queue(tasks.noop)
        server = a_server(port)
        Servers.objects.filter(pk=server.pk).update(host="another")
        assert reason(row) == "waiting: it is the next one of its queue"

    def test_that_waits_in_a_queue_that_nobody_serves(self, port: int) -> None:
        row = using(queue="mail").push(tasks.noop)
        a_server(port, queues=["default"])
        unserved = 'waiting: no running server serves the queue "mail"'
        assert reason(row, is_listening=True) == unserved
        a_server(port + 1, queues=["mail", "other"])
        assert reason(row, is_listening=True) != unserved

    def test_that_waits_for_its_turn(self, port: int) -> None:
        a_server(port)
        row = push_task_to_queue(tasks.noop)
        using(priority=-5).push(tasks.noop)
        using(queue="other", priority=5).push(tasks.noop)
        assert reason(row, is_listening=True) == "waiting: it is the next one of its queue"
        later = push_task_to_queue(tasks.noop)
        behind_one = "waiting: it is behind 1 earlier one of its priority"
        assert reason(later, is_listening=True) == behind_one
        last = push_task_to_queue(tasks.noop)
        behind_two = "waiting: it is behind 2 earlier ones of its priority"
        assert reason(last, is_listening=True) == behind_two
        using(priority=5).push_many([(tasks.noop, (), {})] * 3)
        behind_urgent = "waiting: it is behind 3 of higher priority"
        assert reason(row, is_listening=True) == behind_urgent
        assert reason(last, is_listening=True) == f"{behind_urgent} and 2 earlier ones"

    def test_that_waits_far_behind(self, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(case, "FAR_BEHIND", 2)
        a_server(port)
        push_many([(tasks.noop, (), {})] * 3)
        row = push_task_to_queue(tasks.noop)
        behind = "waiting: it is behind 2+ earlier ones of its priority"
        assert reason(row, is_listening=True) == behind

    def test_that_waits_in_a_paused_queue(self, port: int) -> None:
        a_server(port)
        row = using(queue="mail").push(tasks.noop)
        other = push_task_to_queue(tasks.noop)
        lifecycle.pause("mail")
        PausedQueues.objects.update(paused_at=LATER)
        paused = 'waiting: the queue "mail" is paused since 2050-01-02 03:04:05+00:00'
        assert reason(row, is_listening=True) == paused
        assert "paused" not in reason(other, is_listening=True)

    def test_that_waits_in_a_queue_that_servers_take_for_a_paused_one(self, port: int) -> None:
        a_server(port)
        row = using(queue="mail").push(tasks.noop)
        lifecycle.pause("Mail")
        is_left = agenda.ready_queues(paused=agenda.paused_queues()) == []
        assert ("is paused" in reason(row, is_listening=True)) is is_left

    def test_whose_callable_is_gone(self, port: int) -> None:
        a_server(port)
        row = stored_as("tests.site.tasks.old")
        told = reason(row, is_listening=True)
        assert told.startswith("waiting: the callable tests.site.tasks.old does not import here (")
        assert told.endswith("has no attribute 'old')")

    def test_whose_module_ends_the_process(
        self, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        a_server(port)
        (tmp_path / "ending_module.py").write_text("raise SystemExit(3)")
        monkeypatch.syspath_prepend(str(tmp_path))
        row = stored_as("ending_module.task")
        assert reason(row, is_listening=True) == "waiting, but it will fail: SystemExit: 3"

    def test_whose_payload_is_not_signed(self, port: int) -> None:
        a_server(port)
        row = push_task_to_queue(tasks.noop)
        QueuedTasks.objects.update(payload="{}:no:signature")
        told = reason(row, is_listening=True)
        assert told.startswith("waiting, but it will fail: InvalidPayload: the payload is damaged")

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
        after = "after attempt 1 failed: smtplib.SMTPException: no room"
        until = "deferred until 2050-01-02 03:04:05+00:00: try 2"
        days = "[0-9,]+ days"
        assert re.fullmatch(f"{re.escape(until)} of 3 in {days}, {after}", reason(row))
        QueuedTasks.objects.update(payload="unreadable")
        assert re.fullmatch(f"{re.escape(until)} in {days}, {after}", reason(row))

    def test_that_is_tried_again_soon_by_terms_of_its_own(self) -> None:
        row = using(max_retries=7).push(tasks.noop)
        soon = timezone.now() + timedelta(seconds=GIVE_UP_AFTER)
        QueuedTasks.objects.update(tries=4, run_after=soon, state=State.DEFERRED)
        FailedAttempts.objects.create(
            task=row, attempt=4, exception_type="E", started_at=LATER, finished_at=LATER
        )
        assert re.search(r": try 5 of 7 in \d+ s, after attempt 4 failed: E: $", reason(row))

    def test_that_is_parked(self) -> None:
        row = using(run_after=LATER).push(tasks.noop)
        QueuedTasks.objects.update(parked_since=LATER - timedelta(hours=1))
        assert reason(row) == (
            "parked until 2050-01-02 03:04:05+00:00:"
            " it has not imported since 2050-01-02 02:04:05+00:00; here it does by now"
        )

    def test_that_is_parked_and_does_not_import_here(self) -> None:
        row = stored_as("tests.site.tasks.old")
        QueuedTasks.objects.update(parked_since=LATER, run_after=LATER, state=State.DEFERRED)
        assert "; the callable tests.site.tasks.old does not import here (Attr" in reason(row)

    def test_that_is_suspect(self, port: int) -> None:
        a_server(port)
        row = push_task_to_queue(tasks.noop)
        QueuedTasks.objects.update(state=State.DEFERRED, suspect=True)
        assert reason(row, is_listening=True).startswith("waiting to run alone")

    def test_that_waits_for_a_service(self, port: int) -> None:
        row = blocked_at("smtp")
        note_outage("smtp", "ConnectionRefusedError")
        Gates.objects.update(closed_since=LATER)
        assert (
            reason(row)
            == "waiting for smtp since 2050-01-02 03:04:05+00:00: ConnectionRefusedError"
        )

    @pytest.mark.parametrize("gate", ["smtp", "limit:x", "rate:x"])
    def test_that_nothing_keeps_at_its_gate(self, gate: str, port: int) -> None:
        row = blocked_at(gate)
        assert reason(row) == f"waiting: no server is listening at localhost:{port}"
        a_server(port)
        about_to = f"waiting for {gate}, which is about to let it go on"
        assert reason(row, is_listening=True) == about_to
        capacity = None if gate == "smtp" else 1
        period = 60.0 if gate == "rate:x" else None
        now = timezone.now()
        Gates.objects.create(name=gate, capacity=capacity, period=period, used_at=now)
        assert reason(row, is_listening=True) == about_to

    def test_that_waits_for_a_limit(self) -> None:
        holders = push_many([(tasks.noop, (), {})] * 2)
        one, two = (holder.pk for holder in holders)
        QueuedTasks.objects.filter(pk=one).update(state=State.RUNNING, limited_by="limit:user:7")
        row = blocked_at("limit:user:7")
        Gates.objects.create(name="limit:user:7", capacity=1, used_at=timezone.now())
        assert reason(row) == f"waiting: limit user:7 is taken by {one}"
        Gates.objects.update(capacity=2)
        QueuedTasks.objects.filter(pk=two).update(state=State.RUNNING, limited_by="limit:user:7")
        assert reason(row) == f"waiting: limit user:7, 2 at a time, is taken by {one}, {two}"

    def test_that_waits_for_a_rate(self) -> None:
        now = timezone.now()
        row = blocked_at("rate:x")
        rate = Rate(5, 36_000.0)
        starts = dict.fromkeys(rate.noted({}, now.timestamp()), 5)
        Gates.objects.create(
            name="rate:x", capacity=5, period=rate.period, starts=starts, used_at=now
        )
        assert reason(row) == "waiting: rate x lets 5 start in 10 h, the next one in 11 h"

    def test_that_runs(self) -> None:
        server = a_server(8002)
        row = push_task_to_queue(tasks.noop)
        QueuedTasks.objects.update(state=State.RUNNING, owner=server, tries=1)
        assert reason(row) == f"running on {server}, attempt 2"
        QueuedTasks.objects.update(progress_done=3)
        assert reason(row).endswith(", attempt 2, 3")
        QueuedTasks.objects.update(progress_total=10)
        assert reason(row).endswith(", attempt 2, 3 of 10")
        Servers.objects.update(running={str(row.pk): LATER.isoformat()})
        since = "since 2050-01-02 03:04:05+00:00"
        assert reason(row) == f"running on {server} {since}, attempt 2, 3 of 10"

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


def stored_as(path: str) -> QueuedTasks:
    """Return the row of a task whose callable is at this path, be it that nothing is."""
    row = push_task_to_queue(tasks.noop)
    row.name, row.payload = path, serializer.dump_task(path, (), {}, "auto")
    row.save()
    return row


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
            "version": 1,
            "id": row.pk,
            "name": "tests.site.tasks.noop",
            "queue": "mail",
            "priority": 0,
            "status": "READY",
            "reason": "deferred",
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
    # Since when it runs is told as soon as the server has seen it twice.
    named = rf":{server.port} \(process {server.process.pid}\)( since \S+ \S+)?, attempt 1$"
    assert re.search(named, answer.stdout, re.MULTILINE)
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
                "since": "2050-01-02T03:04:05Z",
                "reason": "Connection\nrefused",
            },
            {"name": "limit:x", "tasks": 2, "since": None, "reason": ""},
        ]

    def test_leaves_out_gates_if_they_are_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(status, "MOST_GATES", 1)
        assert [gate.name for gate in status.figures().gates] == ["smtp"]


def write_catalog(path: Path, texts: dict[str, str]) -> None:
    """Write translations as Django reads them.

    See https://www.gnu.org/software/gettext/manual/html_node/MO-Files.html
    """
    pairs = sorted({"": "Content-Type: text/plain; charset=UTF-8\n", **texts}.items())
    columns = [[text.encode() for text in column] for column in zip(*pairs, strict=True)]
    number, place, tables, strings = len(pairs), 28 + 16 * len(pairs), b"", b""
    for text in (text for column in columns for text in column):
        tables += struct.pack("<II", len(text), place + len(strings))
        strings += text + b"\0"
    path.parent.mkdir(parents=True)
    head = struct.pack("<7I", 0x950412DE, 0, number, 28, 28 + 8 * number, 0, 0)
    path.write_bytes(head + tables + strings)


@pytest.mark.django_db
def test_a_person_is_told_in_the_language_that_is_active_but_not_by_the_command(
    tmp_path: Path, settings: Any
) -> None:
    german = {"deferred until %(until)s": "verschoben auf %(until)s"}
    write_catalog(tmp_path / "de" / "LC_MESSAGES" / "django.mo", german)
    settings.LOCALE_PATHS = [str(tmp_path)]
    row = using(run_after=LATER).push(tasks.noop)
    with translation.override("de"):
        assert reason(row) == "verschoben auf 2050-01-02 03:04:05+00:00"
        assert ": deferred until 2050" in run("leek_status", str(row.pk))
        assert translation.get_language() == "de"
