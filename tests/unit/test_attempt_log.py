"""What is collected of what a task logs."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leek import log_context
from leek.attempt_log import LONGEST_MESSAGE, AttemptLog
from leek.exceptions import TaskTimeout
from leek.outcome import Line, Logged

logger = logging.getLogger("shop")


@pytest.fixture
def factory() -> Iterator[None]:
    """Put what makes records back as it was."""
    before = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(before)


def logged_by(function: Callable[[], Any], limit: int = 100) -> Logged | None:
    """Return what was collected of what a function logs."""
    log = AttemptLog(limit)

    def run() -> None:
        log.collect()
        function()

    Context().run(run)
    return log.logged


def messages(function: Callable[[], Any], limit: int = 100) -> list[str]:
    """Return the messages of what was collected."""
    found = logged_by(function, limit)
    return [message for *_, message in found.lines] if found else []


def test_a_line_has_time_level_logger_and_message() -> None:
    before = datetime.now(UTC)
    found = logged_by(lambda: logger.warning("%s of %s", 1, 2))
    assert found
    ((time, *rest),) = found.lines
    assert rest == ["WARNING", "shop", "1 of 2"]
    assert timedelta() <= datetime.fromisoformat(time) - before < timedelta(seconds=60)
    assert found.characters == len(time) + len("WARNINGshop1 of 2")


@pytest.mark.usefixtures("factory")
def test_a_line_is_collected_once_where_the_apps_are_set_up_twice() -> None:
    log_context.install()
    assert messages(lambda: logger.warning("mine")) == ["mine"]


def test_nothing_is_collected_where_nothing_is_logged() -> None:
    assert logged_by(lambda: None) is None


def test_what_the_level_of_a_logger_holds_back_is_not_collected() -> None:
    assert messages(lambda: logger.debug("too much")) == []


def test_the_latest_lines_are_kept_and_the_others_counted() -> None:
    def log() -> None:
        for number in range(10):
            logger.warning("%s", number)

    found = logged_by(log, limit=3)
    assert found
    assert [message for *_, message in found.lines] == ["7", "8", "9"]
    assert found.omitted == 7


def test_nothing_is_collected_without_a_limit_to_it() -> None:
    assert logged_by(lambda: logger.warning("x"), limit=0) is None


def test_what_leek_and_the_framework_say_of_the_task_is_left_out() -> None:
    def log() -> None:
        logging.getLogger("leek").warning("Task 1 failed")
        logging.getLogger("django.tasks").warning("Task 1 failed")
        logger.warning("mine")

    assert messages(log) == ["mine"]


def test_what_other_code_logs_at_the_same_time_is_not_collected() -> None:
    def log() -> None:
        thread = threading.Thread(target=logger.warning, args=("somebody else",))
        thread.start()
        thread.join()
        logger.warning("mine")

    assert messages(log)[-1] == "mine"
    assert logged_by(lambda: Context().run(logger.warning, "somebody else")) is None


def test_threads_that_are_given_the_context_are_collected_too() -> None:
    def log() -> None:
        def many(tag: str) -> None:
            for number in range(200):
                logger.warning("%s%s", tag, number)

        threads = [threading.Thread(target=copy_context().run, args=(many, tag)) for tag in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    found = logged_by(log)
    assert found
    assert (len(found.lines), found.omitted) == (100, 700)


def test_coroutines_and_their_threads_are_collected() -> None:
    async def log() -> None:
        logger.warning("here")
        await asyncio.create_task(log_there())
        await asyncio.to_thread(logger.warning, "in a thread")

    async def log_there() -> None:
        logger.warning("there")

    assert messages(lambda: asyncio.run(log())) == ["here", "there", "in a thread"]


def test_a_logger_that_does_not_propagate_is_collected() -> None:
    def log() -> None:
        alone = logging.getLogger("shop.alone")
        alone.propagate = False
        alone.addHandler(logging.NullHandler())
        alone.warning("alone")

    assert messages(log) == ["alone"]


def test_a_logger_that_is_disabled_is_not_collected() -> None:
    def log() -> None:
        logging.getLogger("shop.disabled").disabled = True
        logging.getLogger("shop.disabled").error("nobody hears")

    assert messages(log) == []


def test_no_logger_gets_a_handler_or_a_level() -> None:
    root = logging.getLogger()
    before = (root.level, [*root.handlers], logger.level, [*logger.handlers])
    assert messages(lambda: logger.warning("x")) == ["x"]
    assert before == (root.level, [*root.handlers], logger.level, [*logger.handlers])


def test_an_argument_is_kept_as_it_was() -> None:
    def log() -> None:
        items: list[int] = []
        for number in range(3):
            logger.warning("%s", items)
            items.append(number)

    assert messages(log) == ["[]", "[0]", "[0, 1]"]


def test_of_an_exception_the_type_and_the_text_are_kept() -> None:
    def log() -> None:
        try:
            raise ValueError("no ink")
        except ValueError:
            logger.exception("It stopped")

    assert messages(log) == ["It stopped\nValueError: no ink"]


def test_an_exception_is_kept_behind_however_long_a_message() -> None:
    def log() -> None:
        logger.error("x" * 5000, exc_info=ValueError("y" * 5000))

    (message,) = messages(log)
    assert len(message) == LONGEST_MESSAGE
    assert "…\nValueError: yyy" in message


def test_a_long_message_is_cut() -> None:
    (message,) = messages(lambda: logger.warning("x" * 5000))
    assert message == "x" * (LONGEST_MESSAGE - 1) + "…"


def test_what_no_database_stores_is_replaced() -> None:
    log = AttemptLog(1)
    log.add(logging.makeLogRecord({"name": "shop", "msg": "nul \0, half \ud83d, whole \U0001f600"}))
    assert log.logged
    ((*_, message),) = log.logged.lines
    assert message == "nul \ufffd, half ?, whole \U0001f600"
    json.dumps(message).encode()


def test_what_is_logged_while_a_line_is_added_is_a_line_of_its_own() -> None:
    def answer_the_first(number: int, _: Line) -> None:
        told.append(number)
        if number == 0:
            logger.warning("second")

    told: list[int] = []
    log = AttemptLog(5, answer_the_first)

    def run() -> None:
        log.collect()
        logger.warning("first")

    Context().run(run)
    assert log.logged
    assert [message for *_, message in log.logged.lines] == ["first", "second"]
    assert (told, log.logged.omitted) == ([0, 1], 0)


class Unfit:
    """Has no text."""

    def __str__(self) -> str:
        raise TypeError("no text")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(("%s and %s", 1), ["%s and %s"]), (("%s", Unfit()), ["%s"]), ((Unfit(),), [])],
)
def test_what_cannot_be_formatted_harms_nobody(
    arguments: tuple[Any, ...], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    monkeypatch.setattr(logger, "propagate", False)  # pytest's own handler raises
    assert messages(lambda: logger.warning(*arguments)) == expected


@pytest.mark.usefixtures("factory")
def test_what_logs_while_its_text_is_made_is_collected_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Chatty:
        def __str__(self) -> str:
            logger.warning("inner")
            return "outer"

    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [logging.NullHandler()])
    assert messages(lambda: logger.warning("%s", Chatty())) == ["inner", "outer"]


@pytest.mark.usefixtures("factory")
def test_a_time_limit_that_is_over_meanwhile_is_the_tasks_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [logging.NullHandler()])

    class Late(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802
            raise TaskTimeout

    class Refusing(logging.LogRecord):
        def __setattr__(self, name: str, value: object) -> None:
            if name.startswith("leek_"):
                raise TaskTimeout
            super().__setattr__(name, value)

    for kind in (Late, Refusing):
        logging.setLogRecordFactory(kind)
        log_context.install()
        with pytest.raises(TaskTimeout):
            logged_by(lambda: logger.warning("x"))
