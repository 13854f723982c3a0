"""The rows of tasks of Django's framework: leek's commands, handles and screens know them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client, override_settings
from django.urls import reverse

from leek.exceptions import TaskFailed
from leek.framework import TaskResult, TaskResultDoesNotExist, task_backends, task_finished
from leek.models import FailedAttempts, FailedTasks, QueuedTasks, State, Status, SuccessTasks
from leek.serializer import dump_task, load_task
from leek.testing import run_pushed
from tests.conftest import StartServer
from tests.integration.backend.outcomes import errors_of, finished
from tests.site import django_policies, django_tasks
from tests.site.models import Runs
from tests.support import run, wait_until

pytestmark = pytest.mark.django_db

site: Any = django_policies
plain: Any = django_tasks

CANCELLED = "leek.exceptions.TaskCancelled"


def row_of(result: TaskResult) -> QueuedTasks:
    """Return the row of a task."""
    return QueuedTasks.objects.get(pk=result.id)


# Cancelling


def test_a_task_that_waits_is_cancelled_by_its_row() -> None:
    told: list[TaskResult] = []

    def note(task_result: TaskResult, **facts: Any) -> None:
        told.append(task_result)

    result = plain.add.using(run_after=timedelta(hours=1)).enqueue(1, 2)
    task_finished.connect(note)
    try:
        assert row_of(result).cancel() is True
        assert row_of(result).cancel() is False
    finally:
        task_finished.disconnect(note)
    result.refresh()
    assert told == [result]
    assert (result.status, result.attempts, result.started_at) == ("FAILED", 0, None)
    assert errors_of(result) == [CANCELLED]
    assert "cancelled before it began" in result.errors[0].traceback
    assert result.finished_at >= result.enqueued_at


def test_a_task_that_waits_for_its_next_try_keeps_its_errors_when_it_is_cancelled() -> None:
    result = site.fail_twice.using(retry_delay=3600).enqueue()
    run_pushed()
    result.refresh()
    assert (result.status, result.attempts, errors_of(result)) == (
        "READY",
        1,
        ["builtins.ValueError"],
    )
    assert row_of(result).cancel()
    result.refresh()
    assert errors_of(result) == ["builtins.ValueError", CANCELLED]
    assert (result.status, result.attempts) == ("FAILED", 1)


@pytest.mark.logs_errors  # the framework's own receiver does
@pytest.mark.parametrize("isolate", [False, True])
def test_a_task_that_runs_is_cancelled_by_its_row(
    start_server: StartServer, tmp_path: Path, *, isolate: bool
) -> None:
    server = start_server(*["--isolate"][: int(isolate)], TESTS_ENDS="1")
    gate = str(tmp_path / "gate")
    result = (site.wait_for if isolate else site.never_end).enqueue(gate)
    wait_until(Path(f"{gate}.begun").exists)
    result.refresh()
    assert (result.status, result.attempts, result.errors) == ("RUNNING", 1, [])
    assert row_of(result).cancel() is True
    assert finished(result).status == "FAILED"
    assert errors_of(result) == [CANCELLED]
    assert "cancelled while it ran" in result.errors[0].traceback
    assert result.attempts == 1
    assert server.terminate() == 0
    assert Runs.objects.get().tag == f"end of {result.id} FAILED 1 {CANCELLED}"


# What the row itself tells


def test_the_row_has_the_result_and_waits_for_it(start_server: StartServer) -> None:
    start_server()
    result = plain.add.enqueue(1, 2)
    row = row_of(result)
    assert row.wait(60) == 3
    assert plain.add.get_result(result.id).return_value == 3
    assert (row.name, row.status) == ("tests.site.django_tasks.add", Status.SUCCESSFUL)


def test_the_row_of_a_failed_task_can_be_retried() -> None:
    result = plain.fail.enqueue("boom")
    run_pushed()
    row = row_of(result)
    with pytest.raises(TaskFailed, match="ValueError: boom"):
        _ = row.result
    assert row.retry()
    result.refresh()
    assert (result.status, result.attempts, result.errors) == ("READY", 0, [])
    assert (result.started_at, result.last_attempted_at, result.finished_at) == (None, None, None)


# Commands


def test_leek_retry_failed_pushes_it_back_with_clean_counters() -> None:
    failed, other = plain.fail.enqueue("boom"), plain.leave.enqueue()
    run_pushed()
    assert run("leek_retry_failed", failed.id) == "Pushed back 1 tasks.\n"
    for result, status in [(failed, "READY"), (other, "FAILED")]:
        result.refresh()
        assert result.status == status
    run_pushed()
    failed.refresh()
    assert (failed.status, failed.attempts, len(failed.errors)) == ("FAILED", 1, 1)
    by_name = ("--task", "tests.site.django_tasks.fail", "--exception", "ValueError")
    assert run("leek_retry_failed", *by_name) == "Pushed back 1 tasks.\n"


def test_leek_purge_deletes_it_with_its_result() -> None:
    good, bad = plain.add.enqueue(1, 2), plain.succeed_at.enqueue(9)
    run_pushed(include_deferred=True)
    assert run("leek_purge") == "Deleted 1 tasks.\n"
    with pytest.raises(TaskResultDoesNotExist, match=f"There is no task '{good.id}'"):
        good.refresh()
    assert run("leek_purge", "--failed") == "Deleted 1 tasks.\n"
    with pytest.raises(TaskResultDoesNotExist):
        plain.succeed_at.get_result(bad.id)
    for model in (QueuedTasks, SuccessTasks, FailedTasks, FailedAttempts):
        assert not model.objects.exists()


def test_leek_status_explains_it(port: int) -> None:
    later = plain.add.using(run_after=timedelta(hours=1)).enqueue(1, 2)
    again = site.fail_twice.using(retry_delay=3600).enqueue()
    done, failed = plain.add.enqueue(1, 2), plain.fail.enqueue("boom")
    run_pushed()
    for result, words in [
        (later, "deferred until "),
        (again, "after attempt 1 failed: ValueError: as asked"),
        (done, "succeeded at "),
        (failed, "failed at "),
    ]:
        told = run("leek_status", result.id)
        assert words in told
        assert result.task.module_path in told


def test_the_admin_shows_it(client: Client) -> None:
    good, bad = plain.echo.enqueue({"a": (1,)}), site.fail_twice.enqueue()
    run_pushed()
    client.force_login(User.objects.create_superuser("ann"))
    for model, result in [
        (QueuedTasks, good),
        (SuccessTasks, good),
        (QueuedTasks, bad),
        (FailedTasks, bad),
        (FailedAttempts, bad),
    ]:
        path = f"admin:{model._meta.label_lower.replace('.', '_')}"
        assert result.task.module_path in client.get(reverse(f"{path}_changelist")).text
        key = model.objects.filter(**{"pk" if model is QueuedTasks else "task_id": result.id})
        page = client.get(reverse(f"{path}_change", args=[key.earliest("pk").pk]))
        assert page.status_code == 200


# Odd rows


def rename(result: TaskResult, path: str) -> QueuedTasks:
    """Have a task that was enqueued by this name, which its function does not have now."""
    row = row_of(result)
    stored = load_task(row.payload, "json")
    row.name = path
    row.payload = dump_task(path, stored.args, stored.kwargs, "json", enqueued=stored.enqueued)
    row.save()
    return row


GONE = "tests.site.django_tasks.gone"


def test_a_task_whose_function_is_gone_is_parked_and_its_result_says_so(
    start_server: StartServer,
) -> None:
    with transaction.atomic():
        row = rename(plain.add.enqueue(1, 2), GONE)
    server = start_server()
    wait_until(QueuedTasks.objects.exclude(parked_since=None).exists, "the parking")
    wait_until(lambda: f"Task {row.pk} {GONE} is parked" in server.log, "the record of it")
    row.refresh_from_db()
    assert (row.state, row.tries, row.crashes) == (State.DEFERRED, 0, 0)
    with pytest.raises(TaskResultDoesNotExist, match=rf"Task {row.pk} is there, but .* {GONE}"):
        task_backends["default"].get_result(str(row.pk))


@pytest.mark.logs_errors
def test_a_task_whose_function_stays_away_fails_in_the_end(start_server: StartServer) -> None:
    with transaction.atomic():
        row = rename(plain.add.enqueue(1, 2), GONE)
    server = start_server(LEEK_PARK_FOR="0.01", TESTS_ENDS="1")
    with pytest.raises(TaskFailed, match="has no attribute 'gone'"):
        row.wait(60)
    assert plain.add.enqueue(1, 2).task == plain.add
    assert finished(plain.add.enqueue(1, 2)).return_value == 3
    assert server.terminate() == 0
    assert not Runs.objects.filter(tag__startswith=f"end of {row.pk} ").exists()


def test_a_damaged_row_fails_and_its_result_says_so() -> None:
    result = plain.add.enqueue(1, 2)
    QueuedTasks.objects.update(payload="nonsense")
    assert [row.status for row in run_pushed()] == ["FAILED"]
    with pytest.raises(TaskResultDoesNotExist, match="cannot be read"):
        plain.add.get_result(result.id)


def test_a_plain_function_under_its_name_works() -> None:
    result = site.planned.enqueue(4)
    assert [row.result for row in run_pushed()] == [5]
    found = site.planned.get_result(result.id)
    assert (found.return_value, found.task) == (5, site.planned)
    assert site.plain(1) == 2


def test_a_task_that_was_renamed_is_found_by_its_new_name(start_server: StartServer) -> None:
    with transaction.atomic():
        row = rename(plain.add.enqueue(1, 2), GONE)
    aliases = {GONE: "tests.site.django_tasks.add"}
    start_server(LEEK_ALIASES=f"{GONE}=tests.site.django_tasks.add", TESTS_ENDS="1")
    assert row.wait(60) == 3
    with override_settings(TASKS_QUEUE={"ALIASES": aliases}):
        result = plain.add.get_result(str(row.pk))
    assert (result.task, result.return_value) == (plain.add, 3)
    wait_until(Runs.objects.filter(tag=f"end of {row.pk} SUCCESSFUL 1").exists, "the end")
