"""Options of the commands that cannot mean what was meant."""

import pytest
from django.core.management.base import CommandError

from leek import upkeep
from leek.api import push_task_to_queue
from leek.models import FailedTasks
from tests.site import tasks
from tests.support import finish, run

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("option", ["--task", "--queue", "--exception", "--since"])
@pytest.mark.parametrize("value", ["", " "])
def test_leek_retry_failed_refuses_an_empty_value(option: str, value: str) -> None:
    finish([push_task_to_queue(tasks.noop)], error="ValueError")
    with pytest.raises(CommandError, match=f"{option}: "):
        run("leek_retry_failed", f"{option}={value}")
    assert FailedTasks.objects.exists()


@pytest.mark.parametrize(
    "chosen",
    [
        upkeep.FailedFilter(name=""),
        upkeep.FailedFilter(queue=""),
        upkeep.FailedFilter(exception=""),
    ],
)
def test_an_empty_filter_chooses_nothing(chosen: upkeep.FailedFilter) -> None:
    finish([push_task_to_queue(tasks.noop)], error="ValueError")
    assert not chosen.rows().exists()


@pytest.mark.parametrize("age", ["200000w", "99999d", "9" * 30 + "s"])
def test_leek_purge_refuses_an_age_beyond_all_times(age: str) -> None:
    with pytest.raises(CommandError, match=r"--older-than: \d+[wds] is more than a century"):
        run("leek_purge", f"--older-than={age}")


def test_leek_purge_takes_a_century() -> None:
    finish([push_task_to_queue(tasks.noop)])
    assert run("leek_purge", "--older-than=36525d") == "Deleted 0 tasks.\n"
