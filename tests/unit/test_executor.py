"""Running one task: every way it can end."""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

import leek
from leek.current import CurrentTask, current_task
from leek.exceptions import ResultNotStored
from leek.outcome import Claimed, ErrorReport, Failure, Retry, Success
from leek.policy import Terms
from leek.retry import RetryPolicy
from leek.serializer import dump_task, load_value
from leek.server.executor import Executor
from leek.server.reports import LONGEST_REPORT, report_of
from leek.task import path_of
from tests.site import tasks

NOW = datetime(2026, 12, 24, 12, tzinfo=UTC)
PARK_FOR = 3600.0
EXECUTOR = Executor(Terms(RetryPolicy(max_retries=3, delay=10, max_delay=15)), "auto", PARK_FOR)


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class TongueTied(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]


def say(message: str) -> None:
    raise ValueError(message)


def say_nothing() -> None:
    raise Speechless


def stammer() -> None:
    raise TongueTied


async def fail_slowly() -> None:
    raise ValueError("slowly")


def fail_deeply(depth: int) -> None:
    if depth:
        fail_deeply(depth - 1)
    raise ValueError("deep down")


def fail_because() -> None:
    try:
        raise KeyError("the cause")
    except KeyError as error:
        raise ValueError("the effect") from error


def fail_together() -> None:
    raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])


def overflow() -> None:
    overflow()


class Refused(BaseException):
    pass


def refuse() -> None:
    raise Refused("not even an Exception")


def claimed(
    payload: str, *, tries: int = 0, crashes: int = 0, parked_since: datetime | None = None
) -> Claimed:
    return Claimed(
        4711, "shop.send", payload, 0, tries, crashes, parked_since, False, 0.0, NOW, 3, 9
    )


def task_of(a_callable: Any, *args: Any, tries: int = 0, crashes: int = 0) -> Claimed:
    payload = dump_task(path_of(a_callable), args, {}, "auto")
    return claimed(payload, tries=tries, crashes=crashes)


def missing(*, waited: float = 0.0, path: str = "tests.site.tasks.missing") -> Claimed:
    """Return a task whose callable does not import, first parked some seconds before NOW."""
    parked_since = NOW - timedelta(seconds=waited)
    return claimed(dump_task(path, [], {}, "auto"), parked_since=parked_since)


def retry_of(task: Claimed) -> Retry:
    outcome = EXECUTOR.run(task)
    assert isinstance(outcome, Retry)
    return outcome


def failure_of(task: Claimed) -> Failure:
    outcome = EXECUTOR.run(task)
    assert isinstance(outcome, Failure)
    return outcome


def error_of(a_callable: Any, *args: Any) -> ErrorReport:
    """Return the report of a task that fails."""
    return retry_of(task_of(a_callable, *args)).error


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leek.server.executor.timezone.now", lambda: NOW)


# Success


def test_a_task_that_returns_is_a_success() -> None:
    task = task_of(tasks.add, 1, 2)
    outcome = EXECUTOR.run(task)
    assert isinstance(outcome, Success)
    assert outcome.claimed is task
    assert load_value(outcome.result, "auto") == 3


def test_a_task_that_returns_nothing_stores_nothing() -> None:
    outcome = EXECUTOR.run(task_of(tasks.noop))
    assert isinstance(outcome, Success)
    assert outcome.result is None


def test_an_async_task_is_a_success() -> None:
    outcome = EXECUTOR.run(task_of(tasks.add_slowly, 1, 2))
    assert isinstance(outcome, Success)
    assert load_value(outcome.result, "auto") == 3


def test_a_result_that_cannot_be_stored_does_not_fail_the_task() -> None:
    outcome = EXECUTOR.run(task_of(tasks.unstorable))
    assert isinstance(outcome, Success)
    with pytest.raises(ResultNotStored):
        load_value(outcome.result, "auto")


@pytest.mark.parametrize("task", [task_of(tasks.noop), task_of(tasks.fail), claimed("junk")])
def test_an_outcome_tells_when_the_attempt_began_and_ended(task: Claimed) -> None:
    before = timezone.now()
    outcome = EXECUTOR.run(task)
    assert before <= outcome.started_at <= outcome.finished_at <= timezone.now()


# Retry and failure


def test_a_failed_try_is_followed_by_another() -> None:
    outcome = retry_of(task_of(tasks.fail))
    assert outcome.spends_try
    assert outcome.error.type == "ValueError"
    assert outcome.error.message == "as asked"


@pytest.mark.parametrize(("tries", "delay"), [(0, 10), (1, 15)])
def test_the_delay_follows_the_policy_with_some_jitter(tries: int, delay: float) -> None:
    outcome = retry_of(task_of(tasks.fail, tries=tries))
    assert delay <= outcome.delay <= 1.1 * delay


@pytest.mark.parametrize("tries", [2, 3, 100])
def test_the_last_try_that_fails_is_a_failure(tries: int) -> None:
    assert failure_of(task_of(tasks.fail, tries=tries)).error.message == "as asked"


def test_crashes_spend_no_tries() -> None:
    assert retry_of(task_of(tasks.fail, crashes=100)).spends_try


def test_a_task_may_succeed_at_its_last_try() -> None:
    assert isinstance(EXECUTOR.run(task_of(tasks.noop, tries=2)), Success)


@pytest.mark.parametrize(
    ("a_callable", "kind", "message"),
    [
        (tasks.leave, "SystemExit", "3"),
        (tasks.interrupt, "KeyboardInterrupt", ""),
        (refuse, "tests.unit.test_executor.Refused", "not even an Exception"),
        (overflow, "RecursionError", "maximum recursion depth exceeded"),
    ],
)
def test_nothing_that_a_task_raises_gets_out(a_callable: Any, kind: str, message: str) -> None:
    error = error_of(a_callable)
    assert error.type == kind
    assert error.message.startswith(message)


def test_arguments_that_do_not_fit_fail_the_try() -> None:
    assert error_of(tasks.add, 1).type == "TypeError"


# Payloads that cannot be read


@pytest.mark.parametrize("payload", ["", "junk", "{}:x", "\x00", "\ud800:\ud800"])
def test_a_damaged_payload_fails_at_once(payload: str) -> None:
    assert failure_of(claimed(payload)).error.type == "leek.exceptions.InvalidPayload"


def test_a_payload_of_a_foreign_key_fails_at_once() -> None:
    with override_settings(SECRET_KEY="foreign"):
        task = task_of(tasks.noop)
    assert "SECRET_KEY" in failure_of(task).error.message


def test_a_pickle_fails_at_once_where_json_is_asked_for() -> None:
    payload = dump_task(path_of(tasks.noop), [], {}, "pickle")
    outcome = Executor(EXECUTOR.terms, "json", PARK_FOR).run(claimed(payload))
    assert isinstance(outcome, Failure)
    assert "SERIALIZER" in outcome.error.message


def test_a_module_that_leaves_on_import_does_not_end_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module_that_leaves.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    outcome = EXECUTOR.run(missing(path="module_that_leaves.run"))
    assert isinstance(outcome, Retry | Failure)
    assert outcome.error.type == "SystemExit"


# Parking


@pytest.mark.usefixtures("stopped_clock")
@pytest.mark.parametrize("path", ["tests.site.tasks.missing", "no_such_package.tasks.send"])
def test_a_callable_that_does_not_import_is_parked(path: str) -> None:
    assert not retry_of(missing(path=path)).spends_try


@pytest.mark.usefixtures("stopped_clock")
@pytest.mark.parametrize(
    ("waited", "delay"), [(-60, 1), (0, 1), (4, 1), (20, 5), (236, 59), (241, 60), (3599, 60)]
)
def test_a_parked_task_is_looked_at_less_and_less_often(waited: float, delay: float) -> None:
    assert retry_of(missing(waited=waited)).delay == pytest.approx(delay)


@pytest.mark.usefixtures("stopped_clock")
@pytest.mark.parametrize("waited", [PARK_FOR, PARK_FOR + 1, 10 * PARK_FOR])
def test_a_task_parked_for_long_enough_fails_with_the_import_error(waited: float) -> None:
    error = failure_of(missing(waited=waited, path="no_such_package.tasks.send")).error
    assert error.type == "ModuleNotFoundError"
    assert error.message == "No module named 'no_such_package'"


@pytest.mark.usefixtures("stopped_clock")
def test_a_task_is_parked_whatever_tries_it_has_spent() -> None:
    task = missing()._replace(tries=100)
    assert not retry_of(task).spends_try


@pytest.mark.usefixtures("stopped_clock")
def test_a_task_parked_long_ago_runs_when_its_callable_is_there() -> None:
    task = task_of(tasks.noop)._replace(parked_since=NOW - timedelta(days=365))
    assert isinstance(EXECUTOR.run(task), Success)


def test_a_class_that_does_not_import_parks_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(tasks.echo, Speechless())
    monkeypatch.delattr(sys.modules[__name__], "Speechless")
    assert not retry_of(task).spends_try


def test_an_import_error_of_the_task_itself_spends_a_try() -> None:
    assert retry_of(task_of(import_what_is_not_there)).spends_try


def import_what_is_not_there() -> None:
    import no_such_package  # type: ignore[import-not-found]  # noqa: F401


# Reports


PACKAGE = str(Path(leek.__file__).parent) + os.sep


@pytest.mark.parametrize("a_callable", [tasks.fail, fail_because, fail_slowly, overflow, stammer])
def test_a_traceback_has_no_frames_of_leek(a_callable: Any) -> None:
    assert PACKAGE not in error_of(a_callable).traceback


def test_a_traceback_begins_with_the_task() -> None:
    lines = error_of(tasks.fail).traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith("in fail")
    assert lines[-1] == "ValueError: as asked"


def test_a_traceback_shows_the_cause() -> None:
    text = error_of(fail_because).traceback
    assert "the cause" in text
    assert "the effect" in text


def test_a_traceback_shows_the_members_of_a_group() -> None:
    text = error_of(fail_together).traceback
    assert "ValueError: one" in text
    assert "KeyError: 'two'" in text


def test_code_of_a_package_whose_name_begins_with_leek_is_shown() -> None:
    source = "raise ValueError('mine')"
    with pytest.raises(ValueError, match="mine") as caught:
        exec(compile(source, f"{Path(leek.__file__).parent}_shop/tasks.py", "exec"))
    error = caught.value
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next
    assert "leek_shop" in report_of(error).traceback


def test_a_type_of_a_module_is_named_with_it() -> None:
    assert error_of(say_nothing).type == "tests.unit.test_executor.Speechless"


@pytest.mark.parametrize("a_callable", [say_nothing, stammer])
def test_an_error_that_cannot_be_told_is_reported(a_callable: Any) -> None:
    error = error_of(a_callable)
    assert error.message
    assert error.traceback.startswith("Traceback")


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ("a\x00b", "a\\x00b"),
        ("a\ud800b", "a\\ud800b"),
        ("naïve 😀", "naïve 😀"),
        ("", ""),
        ("two\nlines", "two\nlines"),
    ],
)
def test_a_message_is_stored_as_every_database_can(said: str, stored: str) -> None:
    error = error_of(say, said)
    assert error.message == stored
    for text in (error.message, error.traceback):
        assert "\x00" not in text
        text.encode("utf-8")


def test_a_very_long_message_is_cut() -> None:
    error = error_of(say, "x" * 1_000_000)
    assert error.message == "x" * LONGEST_REPORT
    assert len(error.traceback) <= LONGEST_REPORT


def test_a_message_of_many_nul_characters_stays_within_bounds() -> None:
    assert len(error_of(say, "\x00" * 1_000_000).message) <= 4 * LONGEST_REPORT


def test_a_deep_traceback_stays_within_bounds() -> None:
    error = error_of(fail_deeply, 500)
    assert len(error.traceback) <= LONGEST_REPORT
    assert error.traceback.endswith("ValueError: deep down\n")


# Surroundings


def surrounded(context: dict[str, Any]) -> Claimed:
    """Return a task that tells of its surroundings and leaves others behind."""
    return claimed(dump_task(path_of(tasks.surroundings), [], {}, "auto", context=context))


def returned_by(task: Claimed) -> Any:
    outcome = EXECUTOR.run(task)
    assert isinstance(outcome, Success)
    return load_value(outcome.result, "auto")


def test_a_task_has_the_surroundings_of_its_push() -> None:
    context = {"language": "de", "time_zone": "Europe/Berlin", "request_id": "7d1c"}
    assert returned_by(surrounded(context)) == ["de", "Europe/Berlin", "7d1c", "nobody's"]


def test_a_task_sees_nothing_of_what_another_has_left_behind() -> None:
    assert returned_by(surrounded({"language": "de"}))[0] == "de"
    assert returned_by(surrounded({})) == ["en-us", "UTC", None, "nobody's"]


# What a task knows of itself


@pytest.mark.parametrize(
    ("tries", "crashes", "attempt", "is_last_try"),
    [(0, 0, 1, False), (1, 0, 2, False), (1, 5, 7, False), (2, 0, 3, True), (9, 0, 10, True)],
)
def test_a_task_knows_which_try_it_is(
    tries: int, crashes: int, attempt: int, is_last_try: bool
) -> None:
    assert returned_by(task_of(tasks.tell_of_itself, tries=tries, crashes=crashes)) == {
        "id": 4711,
        "name": "shop.send",
        "attempt": attempt,
        "max_retries": 3,
        "is_last_try": is_last_try,
        "timeout": None,
    }
    assert current_task() is None


def test_a_task_knows_the_terms_that_hold_for_it() -> None:
    options = {"max_retries": 1, "timeout": 60.0}
    payload = dump_task(path_of(tasks.tell_of_itself), [], {}, "auto", options=options)
    told = returned_by(claimed(payload))
    assert (told["max_retries"], told["is_last_try"], told["timeout"]) == (1, True, 60.0)


def test_a_task_cannot_change_what_is_known_of_it() -> None:
    task = CurrentTask(4711, "shop.send", 1, 3, False, NOW, None)
    with pytest.raises(AttributeError):
        task.attempt = 2  # type: ignore[misc]


def test_a_task_that_is_atomic_in_another_database_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.DATABASES, "queue", settings.DATABASES["default"])
    payload = dump_task(path_of(tasks.noop), [], {}, "auto", options={"atomic": "default"})
    with override_settings(TASKS_QUEUE={"DATABASE": "queue"}):
        outcome = EXECUTOR.run(claimed(payload))
    assert isinstance(outcome, Failure)
    assert outcome.error.type == "leek.exceptions.InvalidTask"
    assert 'atomic in the database "default", but the queue is in "queue"' in outcome.error.message
