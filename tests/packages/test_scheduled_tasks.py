"""django-scheduled-tasks: a scheduler of its own enqueues tasks."""

from datetime import timedelta

import pytest
from django_scheduled_tasks.models import ScheduledTaskRunLog

from tests.packages.conftest import running
from tests.packages.site import tasks
from tests.support import LeekServer, wait_until


@pytest.mark.any_database
@pytest.mark.django_db(transaction=True)
def test_its_scheduler_has_the_server_run_what_is_due(server: LeekServer) -> None:
    with running("run_task_scheduler", "--interval", "0.1"):
        log = wait_until(
            ScheduledTaskRunLog.objects.filter(last_run_task_id__isnull=False).first, "a run"
        )
    result = tasks.report.get_result(log.last_run_task_id)

    def finished() -> bool:
        result.refresh()
        return bool(result.is_finished)

    wait_until(finished, "the report")
    assert result.return_value == "report of Monday"
    assert log.task_name == "tests.packages.site.tasks.report"
    assert log.next_scheduled_run_time - log.last_scheduled_run_time == timedelta(hours=2)
