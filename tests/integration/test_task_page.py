"""The page of a task in the admin: everything that is known of it, and nothing that is secret."""

import pickle
import re
from base64 import b64encode
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from leek import leases, lifecycle, serializer
from leek.api import push_task_to_queue, using
from leek.mail import deliver
from leek.mail_values import values_of
from leek.models import (
    AttemptLogs,
    FailedAttempts,
    FailedTasks,
    QueuedTasks,
    State,
    SuccessTasks,
)
from leek.tagged_json import encode
from tests.site import tasks
from tests.support import finish, free_port

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert('x')</script>"


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def page(client: Client, task_id: int) -> str:
    """Return the page of a task."""
    answer = client.get(reverse("admin:leek_queuedtasks_change", args=[task_id]))
    assert answer.status_code == 200
    return answer.content.decode()


def text(client: Client, task_id: int) -> str:
    """Return the words of the page, as they are read."""
    html = re.sub(r"(?s)<(script|style|head).*?</\1>", "", page(client, task_id))
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def attempts(task_id: int, number: int, **values: Any) -> None:
    """Let attempts of a task have failed."""
    now = timezone.now()
    FailedAttempts.objects.bulk_create(
        FailedAttempts(
            task_id=task_id,
            attempt=each,
            exception_type="builtins.ValueError",
            **{"exception_message": f"in attempt {each}", "traceback": "Traceback ...", **values},
            started_at=now + timedelta(seconds=each),
            finished_at=now + timedelta(seconds=each, milliseconds=250),
        )
        for each in range(1, number + 1)
    )


def test_its_state_has_the_same_label_as_in_the_list(admin_client: Client) -> None:
    row = push_task_to_queue(tasks.noop)
    label = '<span class="leek-label leek-label-ready">ready</span>'
    assert label in page(admin_client, row.pk)
    for sheet in ("task.css", "task_list.css"):
        assert f"leek/{sheet}" in page(admin_client, row.pk)


def test_it_tells_what_the_task_is(admin_client: Client) -> None:
    row = using(queue="mail", priority=7, unique="sum-1").push(tasks.add, 1, second=2)
    words = text(admin_client, row.pk)
    for told in ("ready", "tests.site.tasks.add", "mail", "7", "sum-1", "first", "second="):
        assert told in words


def test_it_tells_why_it_waits(admin_client: Client, port: int) -> None:
    row = push_task_to_queue(tasks.noop)
    assert f"no server is listening at localhost:{port}" in text(admin_client, row.pk)


def test_arguments_have_names_and_no_secrets(admin_client: Client) -> None:
    row = push_task_to_queue(tasks.echo, {"user": "ann", "api_key": "hunter2"}, password="hunter3")
    words = page(admin_client, row.pk)
    assert "args[0]" in words
    assert "&#x27;ann&#x27;" in words
    assert "********" in words
    assert "hunter" not in words


def test_a_mail_is_shown_by_its_subject_and_recipients(admin_client: Client) -> None:
    message = EmailMessage("Your order", "Thank you", "shop@example.com", ["ann@example.com"])
    words = text(admin_client, push_task_to_queue(deliver, message=values_of(message)).pk)
    assert "Your order" in words
    assert "ann@example.com" in words
    assert "Thank you" not in words


def tamper(row: QueuedTasks, payload: str) -> None:
    """Store another payload."""
    QueuedTasks.objects.filter(pk=row.pk).update(payload=payload)


def test_a_payload_that_was_changed_is_not_shown(admin_client: Client) -> None:
    row = push_task_to_queue(tasks.add, 1, 4711)
    tamper(row, row.payload.replace("4711", "4712"))
    words = text(admin_client, row.pk)
    assert "cannot be verified" in words
    assert "4712" not in words


def test_a_payload_that_was_changed_is_never_unpickled(
    admin_client: Client, tmp_path: Path
) -> None:
    row = push_task_to_queue(tasks.add, 1, 2)
    bomb = b64encode(pickle.dumps(Bomb(tmp_path / "trace"))).decode()
    signature = row.payload.rpartition(":")[2]
    tamper(row, f"{encode({'callable': row.name, 'pickle': bomb})}:{signature}")
    assert "cannot be verified" in text(admin_client, row.pk)
    assert not (tmp_path / "trace").exists()


def test_a_result_that_was_changed_is_never_unpickled(admin_client: Client, tmp_path: Path) -> None:
    (task_id,) = finish([push_task_to_queue(tasks.noop)])
    bomb = b64encode(pickle.dumps(Bomb(tmp_path / "trace"))).decode()
    SuccessTasks.objects.update(result=f"{encode({'pickle': bomb})}:signature")
    assert "cannot be read" in text(admin_client, task_id)
    assert not (tmp_path / "trace").exists()


def test_where_pickles_are_refused_they_are_not_read(admin_client: Client, tmp_path: Path) -> None:
    row = push_task_to_queue(tasks.echo, Bomb(tmp_path / "trace"))
    with override_settings(TASKS_QUEUE={"SERIALIZER": "json"}):
        assert "refuses to read" in text(admin_client, row.pk)
    assert not (tmp_path / "trace").exists()


def test_a_result_is_shown_without_secrets(admin_client: Client) -> None:
    (task_id,) = finish([push_task_to_queue(tasks.noop)])
    stored = serializer.dump_value({"total": 4711, "token": "hunter2"}, "json")
    SuccessTasks.objects.update(result=stored)
    words = text(admin_client, task_id)
    assert "4711" in words
    assert "hunter2" not in words
    outcome = admin_client.get(reverse("admin:leek_successtasks_change", args=[task_id]))
    assert "4711" in outcome.content.decode()
    assert "hunter2" not in outcome.content.decode()


def test_log_lines_are_in_the_sites_time(admin_client: Client) -> None:
    with override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo"):
        row = push_task_to_queue(tasks.noop)
        line = ["2026-11-28T14:02:03.123456+00:00", "INFO", "shop", "sold out"]
        AttemptLogs.objects.create(task=row, attempt=1, lines=[line])
        assert "23:02:03 INFO shop: sold out" in text(admin_client, row.pk)


def test_each_attempt_is_told_with_its_server_error_and_log(admin_client: Client) -> None:
    server = leases.register(address="10.0.0.7", port=1, workers=2, queues=None, seconds=30)
    row = push_task_to_queue(tasks.noop)
    attempts(row.pk, 2)
    FailedAttempts.objects.filter(attempt=1).update(server_id=server.pk)
    FailedAttempts.objects.filter(attempt=2).update(server_id=server.pk + 1)
    lines = [["2026-11-28T14:02:03.123456+00:00", "WARNING", "shop", "it is late"]]
    AttemptLogs.objects.create(task=row, attempt=2, lines=lines, omitted=3)
    QueuedTasks.objects.filter(pk=row.pk).update(tries=2)
    words = text(admin_client, row.pk)
    for told in (
        "Attempt 1: failed",
        "10.0.0.7:1",
        "took 0.250 s",
        "in attempt 2",
        f"server {server.pk + 1}, which is gone",
        "1 line of log",
        "3 lines before these were not kept.",
        "WARNING shop: it is late",
    ):
        assert told in words
    assert "<details><summary>Traceback" in page(admin_client, row.pk)


def test_attempts_are_told_to_the_second(admin_client: Client) -> None:
    """Two tries may be in one minute."""
    row = push_task_to_queue(tasks.noop)
    attempts(row.pk, 1)
    assert re.search(r"started \w+\.? \d+, \d{4}, \d\d:\d\d:\d\d, took", text(admin_client, row.pk))


def test_a_task_leads_to_those_of_its_name_and_of_its_queue(admin_client: Client) -> None:
    row = using(queue="mail & more").push(tasks.noop)
    html, tasks_ = page(admin_client, row.pk), reverse("admin:leek_queuedtasks_changelist")
    assert f'href="{tasks_}?name=tests.site.tasks.noop"' in html
    assert f'href="{tasks_}?queue=mail+%26+more"' in html


def test_the_log_of_an_attempt_that_runs_is_told(admin_client: Client) -> None:
    row = push_task_to_queue(tasks.noop)
    server = leases.register(address="10.0.0.7", port=1, workers=2, queues=None, seconds=30)
    lifecycle.claim(server.pk, 1, 1, None)
    lines = [["no time", "INFO", "shop", "it begins"]]
    AttemptLogs.objects.create(task=row, attempt=1, lines=lines)
    words = text(admin_client, row.pk)
    assert "Attempt 1: running" in words
    assert "it begins" in words


def test_an_attempt_of_which_there_is_only_a_log_is_told(admin_client: Client) -> None:
    row = push_task_to_queue(tasks.noop)
    AttemptLogs.objects.create(task=row, attempt=3, lines=[], omitted=7)
    assert "Attempt 3" in text(admin_client, row.pk)


def test_an_attempt_that_succeeded_after_another_is_told(admin_client: Client) -> None:
    (task_id,) = finish([push_task_to_queue(tasks.noop)])
    attempts(task_id, 1)
    QueuedTasks.objects.filter(pk=task_id).update(tries=2)
    assert "Attempt 2: successful" in text(admin_client, task_id)


@pytest.mark.parametrize(
    ("done", "total", "told"), [(3, 10, "3 of 10"), (3, None, "3 so far"), (1234, 5678, "max=")]
)
def test_progress_is_shown(admin_client: Client, done: int, total: int | None, told: str) -> None:
    row = push_task_to_queue(tasks.noop)
    QueuedTasks.objects.update(state=State.RUNNING, progress_done=done, progress_total=total)
    html = page(admin_client, row.pk)
    assert told in html
    assert "<progress" in html
    if total:
        assert f'value="{done}" max="{total}"' in html


def test_times_are_in_their_order(admin_client: Client) -> None:
    row = using(run_after=timedelta(days=2)).push(tasks.noop)
    words = text(admin_client, row.pk)
    assert "(to come)" in words
    ended = timezone.now() + timedelta(hours=1)
    (finished,) = finish([push_task_to_queue(tasks.noop)], ended=ended)
    words = text(admin_client, finished).partition("Times")[2]
    assert words.index("pushed") < words.index("claimed") < words.index("finished")


def test_the_gate_it_waits_at_is_linked(admin_client: Client) -> None:
    row = push_task_to_queue(tasks.noop)
    lifecycle.note_outage("smtp", "refused")
    QueuedTasks.objects.update(state=State.BLOCKED, blocked_by="smtp")
    assert "/admin/leek/gates/" in page(admin_client, row.pk)
    QueuedTasks.objects.update(blocked_by="gone")
    assert "gone" in text(admin_client, row.pk)


def test_outcomes_and_tasks_lead_to_each_other(admin_client: Client) -> None:
    (failed,) = finish([push_task_to_queue(tasks.noop)], "ValueError")
    outcome = reverse("admin:leek_failedtasks_change", args=[failed])
    task = reverse("admin:leek_queuedtasks_change", args=[failed])
    assert outcome in page(admin_client, failed)
    assert task in admin_client.get(outcome).content.decode()
    for name in ("failedtasks", "failedattempts"):
        listed = admin_client.get(reverse(f"admin:leek_{name}_changelist"))
        assert task in listed.content.decode()


@pytest.mark.parametrize("state", State)
def test_a_task_whose_outcome_is_gone_has_a_page(admin_client: Client, state: State) -> None:
    row = push_task_to_queue(tasks.noop)
    QueuedTasks.objects.update(state=state, owner=4711)
    assert "tests.site.tasks.noop" in page(admin_client, row.pk)


def test_nothing_hostile_gets_into_the_page(admin_client: Client) -> None:
    row = using(queue=HOSTILE, unique=HOSTILE).push(tasks.echo, HOSTILE, **{HOSTILE: {HOSTILE: 1}})
    (failed,) = finish([row], HOSTILE)
    hostile = {"exception_type": HOSTILE, "exception_message": HOSTILE, "traceback": HOSTILE}
    QueuedTasks.objects.update(name=HOSTILE, blocked_by=HOSTILE, limited_by=HOSTILE)
    FailedTasks.objects.update(**hostile)
    attempts(failed, 1)
    FailedAttempts.objects.update(**hostile)
    AttemptLogs.objects.create(task_id=failed, attempt=1, lines=[[HOSTILE] * 4])
    (succeeded,) = finish([push_task_to_queue(tasks.noop)])
    SuccessTasks.objects.update(result=serializer.dump_value([HOSTILE], "json"))
    for task_id in (failed, succeeded):
        html = page(admin_client, task_id)
        assert "alert" in html
        assert "<script>alert" not in html
        assert "style=" not in html
    chosen = {"action": "retry_tasks", "_selected_action": failed, "index": "0"}
    asked = admin_client.post(reverse("admin:leek_queuedtasks_changelist"), chosen)
    assert "alert" in asked.content.decode()
    assert "<script>alert" not in asked.content.decode()


def test_a_page_takes_few_statements(admin_client: Client, settings: Any) -> None:
    settings.TASKS_QUEUE = {"TASKS_PORT": free_port()}
    row = push_task_to_queue(tasks.add, 1, 2)
    server = leases.register(address="10.0.0.7", port=1, workers=2, queues=None, seconds=30)
    lifecycle.claim(server.pk, 1, 1, None)
    attempts(row.pk, 20, server_id=server.pk)
    line = ["2026-11-28T14:02:03+00:00", "INFO", "shop", "a line"]
    AttemptLogs.objects.bulk_create(
        AttemptLogs(task=row, attempt=each, lines=[line] * 5) for each in range(1, 21)
    )
    QueuedTasks.objects.update(tries=20)
    for state in (State.RUNNING, State.READY, State.BLOCKED, State.DEFERRED):
        QueuedTasks.objects.update(state=state, blocked_by="smtp")
        page(admin_client, row.pk)
        with CaptureQueriesContext(connection) as made:
            html = page(admin_client, row.pk)
        assert html.count("a line") == 100
        assert len(made) <= 15


def test_nothing_is_written_by_looking(admin_client: Client) -> None:
    row = push_task_to_queue(tasks.noop)
    before = list(QueuedTasks.objects.values())
    address = reverse("admin:leek_queuedtasks_change", args=[row.pk])
    assert admin_client.post(address, {"queue": "mail"}).status_code == 403
    assert list(QueuedTasks.objects.values()) == before


def test_its_history_is_linked_once_whatever_django_it_is(admin_client: Client) -> None:
    row = push_task_to_queue(tasks.noop)
    assert page(admin_client, row.pk).count(f"/admin/leek/queuedtasks/{row.pk}/history/") == 1
