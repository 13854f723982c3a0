"""Tasks that fail, and are tried again or not: their errors, attempts and times."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from leek.models import FailedAttempts, QueuedTasks
from tests.integration.backend.contract.framework import (
    SYNC,
    Calls,
    TaskError,
    TaskResult,
    TaskResultStatus,
    in_both_ways,
    of_each_kind,
)
from tests.site import django_tasks as tasks
from tests.support import wait_until

pytestmark = [pytest.mark.usefixtures("server"), pytest.mark.logs_errors]

of_failing_tasks = of_each_kind(tasks.fail_by, tasks.fail_async_by)

KINDS: list[tuple[str, type[BaseException], str]] = [
    ("exit", SystemExit, "SystemExit: 3\n"),
    ("interrupt", KeyboardInterrupt, "KeyboardInterrupt: as asked\n"),
    ("error in an error", ValueError, "ValueError: as asked\n"),
    ("error of the site", tasks.Odd, "tests.site.django_tasks.Odd: as asked\n"),
    ("error of several lines", tasks.Odd, "tests.site.django_tasks.Odd: one\ntwo\n\n"),
    ("error without words", AssertionError, "AssertionError\n"),
    ("error with a note", RuntimeError, "RuntimeError: error with a note\nIt was a Tuesday.\n"),
    ("error with a cause", RuntimeError, "RuntimeError: after that\n"),
    ("group of errors", ExceptionGroup, "    +------------------------------------\n"),
    ("\x00 Gr\u00fcn", RuntimeError, "RuntimeError: \\x00 Gr\u00fcn\n"),
]


def is_well_timed(result: TaskResult) -> bool:
    """Tell whether the times of a finished task are in order."""
    times = [
        result.enqueued_at,
        result.started_at,
        result.last_attempted_at,
        result.finished_at,
    ]
    assert None not in times
    return all(first <= second for first, second in pairwise(filter(None, times)))


# One attempt


@in_both_ways
@of_failing_tasks
def test_a_task_that_raises_has_failed(calls: Calls, a_task: Any) -> None:
    result = calls.run(a_task, "error of the site")
    assert (result.status, result.is_finished) == (TaskResultStatus.FAILED, True)
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value
    assert (result.task, result.args, result.kwargs) == (a_task, ["error of the site"], {})
    assert (result.attempts, len(result.worker_ids), len(result.errors)) == (1, 1, 1)
    assert result.last_attempted_at == result.started_at
    assert is_well_timed(result)
    assert calls.result(a_task, result.id) == result


@of_failing_tasks
@pytest.mark.parametrize(("kind", "error", "end"), KINDS)
def test_an_error_has_its_class_and_a_traceback_that_ends_as_python_writes_it(
    a_task: Any, kind: str, error: type[BaseException], end: str
) -> None:
    result = SYNC.run(a_task, kind)
    assert result.status is TaskResultStatus.FAILED
    (found,) = result.errors
    assert type(found) is TaskError
    assert found.exception_class is error
    assert found.exception_class_path == f"{error.__module__}.{error.__qualname__}"
    assert found.traceback.endswith(end)
    assert "Traceback (most recent call last):\n" in found.traceback
    assert "django_tasks.py" in found.traceback


def test_an_error_shows_its_cause() -> None:
    (found,) = SYNC.run(tasks.fail_by, "error with a cause").errors
    cause = "tests.site.django_tasks.Odd: as asked\n\nThe above exception was the direct cause of"
    assert cause in found.traceback


def test_an_error_shows_the_line_that_raised_it() -> None:
    (found,) = SYNC.run(tasks.fail_by, "error in an error").errors
    assert "in fail_by\n    _raise(kind)\n" in found.traceback


def test_the_class_of_an_error_is_named_by_its_module_and_its_full_name() -> None:
    (found,) = SYNC.run(tasks.fail_by, "error of a class in a class").errors
    assert found.exception_class_path == "tests.site.django_tasks.Odd.Inner"


@pytest.mark.parametrize(
    ("path", "error"), [("subprocess.run", ValueError), ("shop.errors.Missing", ImportError)]
)
def test_the_class_of_an_error_has_to_be_one(path: str, error: type[Exception]) -> None:
    (found,) = SYNC.run(tasks.fail, "as asked").errors
    other = replace(found, exception_class_path=path)
    with pytest.raises(error):
        _ = other.exception_class


def test_a_long_error_is_cut_at_its_beginning() -> None:
    (found,) = SYNC.run(tasks.fail_by, "a" * 20_000 + " the end").errors
    assert found.traceback.endswith("a the end\n")


def test_a_server_goes_on_after_tasks_that_leave() -> None:
    results: list[TaskResult] = [
        tasks.leave.enqueue(),
        tasks.fail_by.enqueue("interrupt"),
        tasks.add.enqueue(1, 2),
    ]
    statuses = [SYNC.finished(result).status.value for result in results]
    assert statuses == ["FAILED", "FAILED", "SUCCESSFUL"]


# Several attempts


@pytest.fixture(params=["sync", "async"])
def stubborn(request: pytest.FixtureRequest) -> Any:
    """Return a task that succeeds at the attempt that is its argument."""
    return tasks.succeed_at if request.param == "sync" else tasks.succeed_async_at


@in_both_ways
def test_a_task_that_is_tried_again_keeps_the_error_of_each_attempt(
    calls: Calls, stubborn: Any
) -> None:
    result = calls.run(stubborn, 3)
    assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, 2)
    assert [error.exception_class for error in result.errors] == [ValueError] * 2
    for number, error in enumerate(result.errors, 1):
        assert error.traceback.endswith(f"ValueError: attempt {number}\n")
    assert result.attempts == len(result.worker_ids) == 3
    assert len({*result.worker_ids}) == 1


def test_a_task_that_is_tried_in_vain_has_the_error_of_each_attempt() -> None:
    result = SYNC.run(tasks.fail_always)
    assert result.status is TaskResultStatus.FAILED
    assert [error.exception_class for error in result.errors] == [ValueError, KeyError, OSError]
    assert result.errors[-1].traceback.endswith("OSError: attempt 3\n")
    assert result.attempts == len(result.worker_ids) == 3


@pytest.mark.parametrize("attempt", [1, 2, 3, 4])
def test_a_task_has_started_with_its_first_attempt_and_was_last_tried_at_its_last(
    attempt: int,
) -> None:
    result = SYNC.run(tasks.succeed_at, attempt)
    number = min(attempt, 3)
    assert result.attempts == number
    assert is_well_timed(result)
    failed = FailedAttempts.objects.filter(task=int(result.id)).order_by("attempt")
    starts = [*failed.values_list("started_at", flat=True)]
    assert result.started_at == [*starts, result.started_at][0]
    assert (result.last_attempted_at == result.started_at) == (number == 1)
    if attempt > 3:
        assert result.last_attempted_at == starts[-1]


def test_a_task_that_waits_for_its_next_attempt_is_ready_again() -> None:
    result = tasks.fail_for_an_hour.enqueue()
    waits = QueuedTasks.objects.filter(pk=int(result.id), tries=1, owner=None)
    wait_until(waits.exists, "the first attempt")
    result.refresh()
    assert (result.status, result.is_finished) == (TaskResultStatus.READY, False)
    assert [error.exception_class for error in result.errors] == [ValueError]
    assert result.attempts == len(result.worker_ids) == 1
    assert result.started_at is not None
    assert (result.last_attempted_at, result.finished_at) == (result.started_at, None)
    with pytest.raises(ValueError, match="Task has not finished yet"):
        _ = result.return_value


def test_a_task_that_runs_once_more_is_running_again(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    result = tasks.fail_then_wait_at.enqueue(str(gate))
    wait_until(Path(f"{gate}.begun").exists, "the second attempt")
    result.refresh()
    assert result.status is TaskResultStatus.RUNNING
    assert (len(result.errors), result.attempts, len(result.worker_ids)) == (1, 2, 2)
    assert result.started_at is not None
    assert result.last_attempted_at is not None
    assert result.started_at < result.last_attempted_at
    assert result.finished_at is None
    gate.touch()
    assert SYNC.finished(result).status is TaskResultStatus.SUCCESSFUL
    assert (len(result.errors), result.attempts) == (1, 2)


def test_a_failed_task_that_is_pushed_back_begins_anew() -> None:
    result = SYNC.run(tasks.fail_by, "error of the site")
    with transaction.atomic():
        assert QueuedTasks.objects.get(pk=int(result.id)).retry()
        result.refresh()
        assert (result.status, result.errors) == (TaskResultStatus.READY, [])
        assert result.attempts == len(result.worker_ids) == 0
        assert (result.started_at, result.finished_at) == (None, None)
    SYNC.finished(result)
    assert (result.status, len(result.errors)) == (TaskResultStatus.FAILED, 1)
    assert result.attempts == len(result.worker_ids) == 1
    assert is_well_timed(result)


def test_a_task_that_was_tried_often_has_the_first_and_the_latest_errors() -> None:
    number = 25
    made = tasks.fail.using(max_retries=number, retry_delay=0)  # type: ignore[call-arg]
    result = SYNC.run(made, "as asked")
    assert result.attempts == len(result.worker_ids) == number
    assert len(result.errors) == 21
    starts = FailedAttempts.objects.filter(task=int(result.id)).order_by("attempt")
    first, *_, last = starts
    assert (first.attempt, last.attempt) == (1, number)
    assert (result.started_at, result.last_attempted_at) == (first.started_at, last.started_at)
