"""What log records tell of tasks."""

import io
import logging
from collections.abc import Callable, Iterator
from contextvars import Context
from datetime import UTC, datetime
from typing import Any

import pytest

from leek import log_context
from leek.context import restore
from leek.current import CurrentTask, enter
from leek.log_context import TaskFormatter

TASK = CurrentTask(4711, "shop.send", 2, 3, False, datetime(2026, 12, 24, tzinfo=UTC), None)

logger = logging.getLogger("shop")


@pytest.fixture
def factory() -> Iterator[None]:
    """Put what makes records back as it was."""
    before = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(before)


def record(**extra: Any) -> logging.LogRecord:
    """Return a record as a logger makes it."""
    return logger.makeRecord(
        "shop", logging.INFO, "f.py", 1, "it is %s", ("so",), None, extra=extra
    )


def in_a_task(function: Callable[[], Any]) -> Any:
    """Return what a function returns in the context of a task."""

    def run() -> Any:
        enter(TASK)
        restore({"request_id": "7d1c"})
        return function()

    return Context().run(run)


def told(record: logging.LogRecord) -> list[Any]:
    names = ("leek_task_id", "leek_task_name", "leek_attempt", "leek_request_id")
    return [getattr(record, name) for name in names]


def test_a_record_of_a_task_tells_of_it() -> None:
    assert told(in_a_task(record)) == [4711, "shop.send", 2, "7d1c"]


def test_a_record_of_no_task_tells_of_none() -> None:
    assert told(Context().run(record)) == [None] * 4


def test_a_record_of_a_request_tells_its_id() -> None:
    def run() -> logging.LogRecord:
        restore({"request_id": "7d1c"})
        return record()

    assert told(Context().run(run)) == [None, None, None, "7d1c"]


def test_a_record_has_what_was_given_with_it() -> None:
    made = in_a_task(lambda: record(task_id=5))
    assert (made.task_id, made.getMessage(), made.lineno) == (5, "it is so", 1)


def test_a_record_that_comes_from_elsewhere_keeps_what_it_tells() -> None:
    sent = vars(in_a_task(record))
    assert told(logging.makeLogRecord(sent)) == [4711, "shop.send", 2, "7d1c"]


@pytest.mark.usefixtures("factory")
def test_the_factory_of_the_site_stays_in_force() -> None:
    class SiteRecord(logging.LogRecord):
        pass

    logging.setLogRecordFactory(SiteRecord)
    log_context.install()
    made = in_a_task(record)
    assert isinstance(made, SiteRecord)
    assert told(made) == [4711, "shop.send", 2, "7d1c"]


@pytest.mark.usefixtures("factory")
def test_a_record_that_takes_nothing_more_is_logged_all_the_same() -> None:
    class Closed(logging.LogRecord):
        def __setattr__(self, name: str, value: object) -> None:
            if name.startswith("leek_"):
                raise AttributeError(name)
            super().__setattr__(name, value)

    logging.setLogRecordFactory(Closed)
    log_context.install()
    assert in_a_task(record).getMessage() == "it is so"


def test_the_task_is_named_in_front_of_its_records() -> None:
    formatted = TaskFormatter().format
    assert formatted(in_a_task(record)).endswith(" INFO [task 4711 shop.send] it is so")
    assert formatted(Context().run(record)).endswith(" INFO it is so")


def test_a_record_that_nobody_has_told_of_tasks_is_formatted_as_well() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TaskFormatter())
    handler.handle(logging.LogRecord("shop", logging.INFO, "f.py", 1, "alone", None, None))
    assert stream.getvalue().endswith(" INFO alone\n")
