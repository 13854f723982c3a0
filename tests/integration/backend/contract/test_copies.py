"""Copies and pickles of results."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.backend.contract.framework import (
    SYNC,
    TaskResult,
    in_each_way_of_copying,
    of_each_kind,
)
from tests.site import django_tasks as tasks

pytestmark = [pytest.mark.usefixtures("server"), pytest.mark.logs_errors]


def result_that_is(status: str) -> TaskResult:
    """Return the result of a task of which this is the status."""
    if status == "ready":
        return tasks.add.using(run_after=timedelta(hours=1), timeout=30).enqueue(1, 2)  # type: ignore[arg-type, call-arg]
    if status == "failed":
        return SYNC.run(tasks.fail_by, "error of the site")
    return SYNC.run(tasks.echo, {"one": [1]})


@in_each_way_of_copying
@pytest.mark.parametrize("status", ["ready", "failed", "successful"])
def test_a_copy_of_a_result_is_equal_and_can_be_loaded_again(
    duplicate: Callable[[Any], Any], status: str
) -> None:
    result = result_that_is(status)
    made = duplicate(result)
    assert made == result
    assert (type(made.task), made.task) == (type(result.task), result.task)
    made.refresh()
    assert made == result


@in_each_way_of_copying
@of_each_kind(tasks.take_any, tasks.take_any_async)
def test_a_copy_of_a_result_lives_on_while_the_task_runs(
    duplicate: Callable[[Any], Any], a_task: Any
) -> None:
    result = a_task.enqueue()
    made = duplicate(result)
    assert SYNC.finished(made) == a_task.get_result(result.id)
    assert result.status == "READY"
