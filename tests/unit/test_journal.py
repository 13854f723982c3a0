"""What the log says of an attempt."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from leek.outcome import Claimed, Crash, ErrorReport, Failure, Outcome, Retry, Success
from leek.server.journal import log_outcome, log_refused

STARTED = datetime(2026, 12, 24, tzinfo=UTC)
ENDED = STARTED + timedelta(seconds=1.25)
CLAIMED = Claimed(
    4711, "shop.tasks.send", "the payload", 0, 1, 1, STARTED, False, 0.0, STARTED, 3, 9
)
ERROR = ErrorReport("ValueError", "no such order", "Traceback: no such order")

SUCCESS = Success(CLAIMED, STARTED, ENDED, "the result")
RETRY = Retry(CLAIMED, STARTED, ENDED, ERROR, 7.5)
PARKED = Retry(CLAIMED, STARTED, ENDED, ERROR, 60.0, spends_try=False)
CRASH = Crash(CLAIMED, STARTED, ENDED, "exited with 3", 3)
LAST_CRASH = Crash(CLAIMED, STARTED, ENDED, "exited with 3", 2)
FAILURE = Failure(CLAIMED, STARTED, ENDED, ERROR)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="leek")
    return caplog


@pytest.mark.logs_errors
@pytest.mark.parametrize("outcome", [SUCCESS, RETRY, FAILURE, CRASH, LAST_CRASH])
def test_a_line_names_id_name_attempt_and_duration(
    log: pytest.LogCaptureFixture, outcome: Outcome
) -> None:
    log_outcome(outcome)
    assert "Task 4711 shop.tasks.send " in log.text
    assert "(attempt 3)" in log.text
    assert "1.250 s" in log.text


@pytest.mark.logs_errors
@pytest.mark.parametrize(
    ("outcome", "level", "word"),
    [
        (SUCCESS, logging.INFO, "succeeded"),
        (RETRY, logging.WARNING, "next try in 7.5 s"),
        (PARKED, logging.WARNING, "parked for 60 s"),
        (FAILURE, logging.ERROR, "failed for good"),
        (CRASH, logging.WARNING, "that exited with 3. It runs again, alone (crash 2 of 3)"),
        (LAST_CRASH, logging.ERROR, "failed for good"),
    ],
)
def test_each_outcome_has_its_level_and_its_words(
    log: pytest.LogCaptureFixture, outcome: Outcome, level: int, word: str
) -> None:
    log_outcome(outcome)
    (record,) = log.records
    assert record.name == "leek"
    assert record.levelno == level
    assert word in record.getMessage()


@pytest.mark.parametrize("outcome", [RETRY, PARKED])
def test_a_retry_tells_the_error(log: pytest.LogCaptureFixture, outcome: Outcome) -> None:
    log_outcome(outcome)
    assert "ValueError: no such order" in log.text


def test_a_parked_task_is_named(log: pytest.LogCaptureFixture) -> None:
    log_outcome(PARKED)
    assert "Task 4711 shop.tasks.send " in log.text


@pytest.mark.logs_errors
def test_a_failure_shows_the_traceback(log: pytest.LogCaptureFixture) -> None:
    log_outcome(FAILURE)
    assert "Traceback: no such order" in log.text


@pytest.mark.logs_errors
@pytest.mark.parametrize("outcome", [SUCCESS, RETRY, PARKED, FAILURE])
def test_neither_arguments_nor_results_are_logged(
    log: pytest.LogCaptureFixture, outcome: Outcome
) -> None:
    log_outcome(outcome)
    assert "payload" not in log.text
    assert "result" not in log.text


@pytest.mark.logs_errors
@pytest.mark.parametrize("message", ["100 %", "%s %d", "{name}", "two\nlines", "😀"])
def test_any_message_can_be_logged(log: pytest.LogCaptureFixture, message: str) -> None:
    error = ErrorReport("ValueError", message, message)
    log_outcome(Retry(CLAIMED, STARTED, ENDED, error, 1.0))
    log_outcome(Failure(CLAIMED, STARTED, ENDED, error))
    assert all(message in record.getMessage() for record in log.records)


@pytest.mark.logs_errors
@pytest.mark.parametrize("outcome", [SUCCESS, RETRY, FAILURE, CRASH, LAST_CRASH])
def test_an_outcome_that_came_too_late_is_told(
    log: pytest.LogCaptureFixture, outcome: Outcome
) -> None:
    log_refused(outcome)
    (record,) = log.records
    assert record.levelno == logging.ERROR
    assert "Task 4711 shop.tasks.send" in record.getMessage()
    assert "(attempt 3)" in record.getMessage()
