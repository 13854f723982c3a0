"""What arguments and return values may be, and what becomes of them as JSON."""

import math
from collections import UserDict, deque
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import models
from django.utils.functional import lazystr

from leek.models import QueuedTasks
from tests.integration.backend.contract.framework import (
    SYNC,
    Calls,
    TaskResultStatus,
    in_both_ways,
    of_each_kind,
)
from tests.site import django_tasks as tasks

pytestmark = [pytest.mark.usefixtures("server"), pytest.mark.logs_errors]


class Colour(models.TextChoices):
    """A text, more or less."""

    GREEN = "g"


CHANGED: list[tuple[Any, Any]] = [
    ((1, ("two", 3.5)), [1, ["two", 3.5]]),
    ([b"leek", {"soup": "Grün".encode()}], ["leek", {"soup": "Grün"}]),
    (range(3), [0, 1, 2]),
    (deque([1]), [1]),
    (UserDict(a=(1,)), {"a": [1]}),
    ({1: "one", None: "none", 1.5: "more"}, {"1": "one", "null": "none", "1.5": "more"}),
    ({b"two": 2}, {"two": 2}),
    ({True: 1}, {"true": 1}),
    (Colour.GREEN, "g"),
]
KEPT: list[Any] = [
    None,
    True,
    1,
    1.0,
    -0.0,
    2**70,
    1e300,
    "",
    "Grün \U0001f96c",
    "\x00",
    "\ud800",
    [[], {}, [None]],
    {"$date": "2026-12-24"},
    {"$dict": [["$a", 1]], "": None},
    {"enqueued": {"at": "noon"}},
]
REFUSED: list[tuple[Any, type[Exception]]] = [
    (datetime(2026, 12, 24, tzinfo=UTC), TypeError),
    (Decimal(1), TypeError),
    (object(), TypeError),
    ({1, 2}, TypeError),
    (print, TypeError),
    (iter([1]), TypeError),
    (lazystr("text"), TypeError),
    (b"\xff", ValueError),
    (math.nan, ValueError),
    (math.inf, ValueError),
    ({(1, 2): 3}, TypeError),
]


# Arguments


@pytest.mark.parametrize(("given", "kept"), CHANGED)
def test_arguments_become_what_json_has(given: Any, kept: Any) -> None:
    result = tasks.echo.enqueue(given, word=given)
    assert (result.args, result.kwargs) == ([kept], {"word": kept})
    assert SYNC.finished(result).return_value == [[kept], {"word": kept}]
    assert (result.args, result.kwargs) == ([kept], {"word": kept})
    assert tasks.echo.get_result(result.id).args == [kept]


def test_arguments_that_json_has_arrive_as_they_are() -> None:
    result = SYNC.run(tasks.echo, *KEPT)
    args, _ = result.return_value
    assert repr(args) == repr(result.args) == repr(KEPT)


def test_names_of_arguments_may_be_any() -> None:
    given: dict[str, Any] = {"task": 1, "args": [2], "kwargs": {"a": 3}, "context": 4, "timeout": 5}
    result = SYNC.finished(tasks.echo.enqueue(**given))
    assert result.return_value == [[], given]


@in_both_ways
@pytest.mark.parametrize(("given", "error"), REFUSED)
def test_an_argument_that_json_has_not_is_refused_and_named(
    calls: Calls, given: Any, error: type[Exception]
) -> None:
    before = QueuedTasks.objects.count()
    with pytest.raises(error, match=r"tests\.site\.django_tasks\.echo: args\[1\]: "):
        calls.enqueue(tasks.echo, 1, given)
    with pytest.raises(error, match=r'echo: kwargs\["words"\]\[0\]\["deep"\]: '):
        calls.enqueue(tasks.echo, words=[{"deep": given}])
    assert QueuedTasks.objects.count() == before


def test_the_words_of_the_framework_are_in_the_message() -> None:
    with pytest.raises(TypeError, match=r"Unsupported type: <class 'datetime\.datetime'>"):
        tasks.echo.enqueue(datetime.now(UTC))


def test_an_argument_that_contains_itself_is_refused() -> None:
    given: list[Any] = []
    given.append(given)
    with pytest.raises((ValueError, RecursionError)):
        tasks.echo.enqueue(given)


# Return values


@of_each_kind(tasks.give, tasks.give_async)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a tuple", [1, ["two", 3.5]]),
        ("bytes", ["leek", {"soup": "Grün"}]),
        ("keys", {"1": "one", "null": "none", "1.5": "more", "two": 2}),
        ("a tag", {"$date": "2026-12-24"}),
        ("text", "\x00 \U0001f96c \ud800"),
        ("a large number", 2**70),
    ],
)
def test_a_return_value_becomes_what_json_has(a_task: Any, name: str, value: Any) -> None:
    assert SYNC.run(a_task, name).return_value == value


@of_each_kind(tasks.give, tasks.give_async)
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("an object", TypeError),
        ("a function", TypeError),
        ("a set in a list", TypeError),
        ("a key that is no text", TypeError),
        ("not a number", ValueError),
        ("infinity", ValueError),
        ("bytes that are no text", ValueError),
    ],
)
def test_a_return_value_that_json_has_not_fails_the_task_at_once(
    a_task: Any, name: str, error: type[Exception]
) -> None:
    result = SYNC.run(a_task, name)
    assert result.status is TaskResultStatus.FAILED
    assert [each.exception_class for each in result.errors] == [error]
    assert (result.attempts, result.is_finished) == (1, True)
    assert result.enqueued_at is not None
    assert result.started_at is not None
    assert result.finished_at is not None
    assert result.enqueued_at <= result.started_at <= result.finished_at
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value


def test_the_error_of_a_return_value_says_what_is_wrong() -> None:
    (error,) = SYNC.run(tasks.give, "an object").errors
    assert error.traceback.endswith(
        "TypeError: the return value: Unsupported type: <class 'object'>\n"
    )
