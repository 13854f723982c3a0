"""django-overseer: retries, unique tasks and schedules of its own, on top of Django's tasks."""

import pytest
from django.test import Client
from django.urls import reverse
from overseer.models import Job, Run, Schedule

from tests.packages.conftest import Start, running
from tests.packages.site import tasks
from tests.packages.site.models import Note
from tests.support import LeekServer, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def job(status: str) -> Job:
    """Wait until the package has a job with this status, and return it."""
    return wait_until(Job.objects.filter(status=status).first, f"a job that is {status}")


@pytest.mark.logs_errors
def test_a_retried_task_keeps_its_policy_and_its_attempts(server: LeekServer) -> None:
    tasks.charge_card.enqueue(4711)

    done = job("SUCCEEDED")

    first, second, third = done.runs.order_by("attempt")
    assert [run.status for run in (first, second, third)] == ["FAILED", "FAILED", "SUCCESSFUL"]
    assert first.exception_class == second.exception_class == "builtins.ConnectionError"
    assert "attempt 1" in first.traceback
    assert third.return_value == "charged at attempt 3"
    assert first.run_after is None
    assert second.started_at >= second.run_after >= first.finished_at
    assert Note.objects.filter(text="order 4711").count() == 3


def test_a_unique_task_is_enqueued_once_until_it_is_finished(start: Start) -> None:
    first = tasks.send_receipt.enqueue("ada@example.com")
    second = tasks.send_receipt.enqueue("ada@example.com")
    other = tasks.send_receipt.enqueue("bob@example.com")

    assert first.id == second.id != other.id
    start()
    wait_until(lambda: Job.objects.filter(status="SUCCEEDED").count() == 2, "both receipts")
    assert tasks.send_receipt.enqueue("ada@example.com").id != first.id


@pytest.mark.any_database
def test_the_task_is_given_its_context(server: LeekServer) -> None:
    result = tasks.tell.enqueue("who?")

    run = job("SUCCEEDED").runs.get()

    assert run.return_value == ["who?", 1, "RUNNING"]
    assert tasks.tell.get_result(result.id).return_value == ["who?", 1, "RUNNING"]


def test_its_scheduler_has_the_server_run_what_is_due(server: LeekServer) -> None:
    with running("overseer_scheduler", "--interval", "0.1"):
        wait_until(Note.objects.filter(text="rates").exists, "the rates")

        done = job("SUCCEEDED")

    assert done.source == "schedule"
    assert done.schedule == Schedule.objects.get(name="refresh-rates")


@pytest.mark.logs_errors
@pytest.mark.any_database
def test_the_dashboard_tells_of_the_server_and_retries_what_failed(
    server: LeekServer, staff: Client
) -> None:
    tasks.divide.enqueue(1, 0)
    failed = job("FAILED")
    (run,) = failed.runs.all()

    workers = staff.get(reverse("overseer:workers")).content.decode()
    page = staff.get(reverse("overseer:job", args=[failed.pk])).content.decode()
    staff.post(reverse("overseer:job-retry", args=[failed.pk]))

    assert run.worker_id
    assert run.worker_id in workers
    assert "ZeroDivisionError" in page
    wait_until(lambda: failed.runs.filter(status="FAILED").count() == 2, "the second attempt")
    assert Run.objects.get(attempt=2).retry_of == run
