"""What a task may tell of its progress."""

from contextvars import Context
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import pytest

from leek.api import progress
from leek.current import CurrentTask, enter
from leek.outcome import Claimed, Progress
from leek.policy import Terms
from leek.retry import RetryPolicy
from leek.serializer import dump_task
from leek.server.executor import Executor
from leek.task import path_of

TASK = CurrentTask(4711, "shop.send", 1, 3, False, datetime(2026, 12, 24, tzinfo=UTC), None)


class Size(IntEnum):
    SMALL = 5


class Index:
    def __index__(self) -> int:
        return 6


def reported(*values: Any) -> list[tuple[int, int | None]]:
    """Return what a task with this progress reports."""
    reports: list[tuple[int, int | None]] = []

    def run() -> None:
        enter(TASK, lambda done, total: reports.append((done, total)))
        progress(*values)

    Context().run(run)
    return reports


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((1, 10), (1, 10)),
        ((0, 0), (0, 0)),
        ((3,), (3, None)),
        ((3, None), (3, None)),
        ((11, 10), (11, 10)),
        ((2**63 - 1, 2**63 - 1), (2**63 - 1, 2**63 - 1)),
        ((Size.SMALL, Index()), (5, 6)),
    ],
)
def test_whole_numbers_are_reported(values: tuple[Any, ...], expected: object) -> None:
    assert reported(*values) == [expected]
    assert type(reported(*values)[0][0]) is int


@pytest.mark.parametrize("value", [True, False, 1.0, "1", [1], 1j, object()])
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^done is .* Give a whole number\.$"):
        reported(value)
    with pytest.raises(TypeError, match=r"^total is .* Give a whole number\.$"):
        reported(1, value)


def test_no_number_is_refused() -> None:
    with pytest.raises(TypeError, match="done is None"):
        reported(None)


@pytest.mark.parametrize("value", [-1, 2**63])
def test_a_number_that_cannot_be_stored_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match=rf"done is {value}\. Give a whole number from 0"):
        reported(value)
    with pytest.raises(ValueError, match=rf"total is {value}\. Give a whole number from 0"):
        reported(1, value)


def test_outside_of_tasks_it_is_checked_and_goes_nowhere() -> None:
    progress(1, 10)
    with pytest.raises(ValueError, match="done is -1"):
        progress(-1)


def advance() -> None:
    progress(1, 10)
    progress(2)


def test_what_a_task_reports_is_marked_with_its_claim() -> None:
    noted: list[Progress] = []
    payload = dump_task(path_of(advance), (), {}, "auto")
    task = Claimed(4711, "shop.send", payload, 0, 0, 0, None, False, 0.0, TASK.started_at, 3, 9)
    terms = Terms(RetryPolicy(max_retries=3, delay=1, max_delay=1))
    Executor(terms, "auto", 0, on_progress=noted.append).run(task)
    assert noted == [Progress(4711, 3, 9, 1, 10), Progress(4711, 3, 9, 2, None)]
