"""What a task learns of itself that takes a context."""

from typing import Any

import pytest

from tests.integration.backend.contract.framework import (
    SYNC,
    Calls,
    InvalidTask,
    TaskResultStatus,
    in_both_ways,
    of_each_kind,
)
from tests.site import django_tasks as tasks

pytestmark = pytest.mark.usefixtures("server")

of_both_tellers = of_each_kind(tasks.tell, tasks.tell_async)


@in_both_ways
@of_both_tellers
def test_a_context_has_the_result_of_the_task_that_runs(calls: Calls, a_task: Any) -> None:
    result = calls.run(a_task, 1, "one", two=2)
    told = result.return_value
    assert (told["class"], told["id"], told["task"]) == (True, result.id, a_task.module_path)
    assert (told["status"], told["finished"], told["errors"]) == ("RUNNING", False, [])
    assert told["times"] == [
        str(result.enqueued_at),
        str(result.started_at),
        str(result.last_attempted_at),
    ]


@of_both_tellers
def test_the_context_is_no_argument_of_the_result(a_task: Any) -> None:
    result = SYNC.run(a_task, 1, "one", two=2)
    assert (result.args, result.kwargs) == ([1, "one"], {"two": 2})
    assert result.return_value["result's"] == [[1, "one"], {"two": 2}]
    assert result.return_value["own"] == [["one"], {"two": 2}]


@of_both_tellers
@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_a_context_knows_the_number_of_the_attempt_and_the_errors_before(
    a_task: Any, attempt: int
) -> None:
    result = SYNC.run(a_task, attempt)
    told = result.return_value
    assert (told["attempt"], result.attempts) == (attempt, attempt)
    assert told["workers"] == result.worker_ids
    assert told["errors"] == ["tests.site.django_tasks.Odd"] * (attempt - 1)
    assert told["times"] == [
        str(result.enqueued_at),
        str(result.started_at),
        str(result.last_attempted_at),
    ]


@of_each_kind(tasks.look_again, tasks.look_again_async)
def test_a_task_may_load_its_own_result_again(a_task: Any) -> None:
    assert SYNC.run(a_task).return_value == "RUNNING"


@in_both_ways
def test_a_task_that_takes_a_context_is_ready_when_it_is_enqueued(calls: Calls) -> None:
    result = calls.enqueue(tasks.tell, 1)
    assert (result.status, result.args) == (TaskResultStatus.READY, [1])


@in_both_ways
def test_a_call_that_does_not_fit_beside_the_context_is_refused(calls: Calls) -> None:
    with pytest.raises(InvalidTask, match="cannot be called so"):
        calls.enqueue(tasks.succeed_at)
    with pytest.raises(InvalidTask, match="cannot be called so"):
        calls.enqueue(tasks.succeed_at, 1, context=2)
