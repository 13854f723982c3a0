"""django-tasks-monitor: what it knows of tasks, it has from the signals of Django's tasks."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from tasks_monitor.models import TaskRecord

from tests.packages.conftest import Start
from tests.packages.site import tasks
from tests.packages.site.models import Note
from tests.support import LeekServer, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def record(**wanted: object) -> TaskRecord:
    """Wait until the package has a record like this, and return it."""
    return wait_until(TaskRecord.objects.filter(**wanted).first, f"a record with {wanted}")


def test_a_task_that_succeeds_is_recorded_from_its_start_to_its_end(server: LeekServer) -> None:
    result = tasks.greet.enqueue("Ada", greeting="Ciao")

    done = record(status="SUCCESSFUL")

    assert (done.result_id, done.backend) == (result.id, "default")
    assert (done.task_path, done.args) == ("tests.packages.site.tasks.greet", ["Ada"])
    assert (done.kwargs, done.queue_name, done.priority) == ({"greeting": "Ciao"}, "mail", 10)
    assert (done.attempts, len(done.worker_ids)) == (1, 1)
    assert done.enqueued_at <= done.started_at <= done.finished_at
    assert done.duration == done.finished_at - done.started_at


@pytest.mark.logs_errors
@pytest.mark.any_database
def test_a_failure_is_recorded_and_the_site_is_alerted(server: LeekServer) -> None:
    tasks.divide.enqueue(1, 0)

    failed = record(status="FAILED")

    assert failed.exception_class == "builtins.ZeroDivisionError"
    assert "return first / second" in failed.traceback
    assert (failed.attempts, len(failed.worker_ids)) == (1, 1)
    wait_until(Note.objects.exists, "the alert")
    assert str(Note.objects.get()) == "divide failed: builtins.ZeroDivisionError"


@pytest.mark.any_database
@pytest.mark.logs_errors
def test_a_failed_task_is_counted_and_retried_in_the_admin(
    server: LeekServer, staff: Client
) -> None:
    tasks.divide.enqueue(1, 0)
    failed = record(status="FAILED")

    stats = staff.get(reverse("admin:tasks_monitor_dashboard")).context["stats"]
    form = {"action": "retry_tasks", "_selected_action": [failed.pk]}
    staff.post(reverse("admin:tasks_monitor_taskrecord_changelist"), form)

    assert (stats["failed"], stats["failure_rate"]) == (1, 100)
    again = record(status="FAILED", retry_of=failed)
    assert again.args == [1, 0]
    assert again.result_id != failed.result_id


@pytest.mark.logs_errors
@pytest.mark.any_database
def test_each_attempt_of_a_task_is_counted_and_the_last_is_its_outcome(server: LeekServer) -> None:
    tasks.divide.using(backend="stubborn").enqueue(1, 0)

    failed = record(status="FAILED")

    assert (failed.backend, failed.attempts, len(failed.worker_ids)) == ("stubborn", 3, 3)
    assert TaskRecord.objects.count() == 1
    wait_until(Note.objects.exists, "the alert")
    assert Note.objects.count() == 1


@pytest.mark.any_database
def test_the_dashboard_tells_what_runs_what_waits_and_what_is_deferred(
    start: Start, staff: Client
) -> None:
    tasks.add.using(run_after=timezone.now() + timedelta(days=1)).enqueue(1, 1)
    tasks.add.enqueue(2, 2)
    tasks.greet.enqueue("Ada")

    def stats() -> tuple[int, ...]:
        found = staff.get(reverse("admin:tasks_monitor_dashboard")).context["stats"]
        return tuple(found[name] for name in ("scheduled", "waiting", "succeeded"))

    assert stats() == (1, 2, 0)
    start()
    wait_until(lambda: stats() == (1, 0, 2), "the tasks that are due")


@pytest.mark.any_database
def test_a_task_is_shown_as_running_while_it_runs(server: LeekServer, gate: Path) -> None:
    tasks.hold.enqueue(str(gate))

    running = record(status="RUNNING")

    assert (running.attempts, running.finished_at) == (1, None)
    gate.touch()
    assert record(status="SUCCESSFUL").worker_ids == running.worker_ids


def test_a_rollback_leaves_neither_a_record_nor_a_task(server: LeekServer) -> None:
    with transaction.atomic():
        tasks.greet.enqueue("nobody")
        transaction.set_rollback(True)
    tasks.greet.enqueue("Ada")

    record(status="SUCCESSFUL")

    assert TaskRecord.objects.count() == 1
    assert str(Note.objects.get()) == "Hello, Ada"
