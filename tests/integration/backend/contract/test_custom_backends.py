"""Backends that a site has made of leek's, and options of an alias."""

import logging
from datetime import timedelta
from typing import Any

import django
import pytest
from django.core.checks import run_checks
from django.test import modify_settings, override_settings

from leek.backend import LeekBackend
from leek.django_task import LeekTask
from tests.integration.backend.contract.conftest import Told
from tests.integration.backend.contract.framework import (
    SYNC,
    Calls,
    InvalidTask,
    Task,
    TaskResult,
    TaskResultStatus,
    by_class_of_task,
    in_both_ways,
    of_each_kind,
    task,
    task_backends,
    task_enqueued,
)
from tests.settings import TASKS
from tests.site import django_aliases as aliases
from tests.site import django_tasks as tasks
from tests.site.backends import LabelledTask, LabellingBackend, PlainBackend
from tests.support import wait_until

pytestmark = [pytest.mark.usefixtures("server"), pytest.mark.logs_errors]

LEEK = "leek.backend.LeekBackend"


def sum_up(first: int, second: int) -> int:
    """Return a sum."""
    return first + second


def with_alias(**params: Any) -> override_settings:
    """Have an alias "made" in TASKS, here but in no server."""
    return override_settings(TASKS=TASKS | {"made": {"BACKEND": LEEK, **params}})


# Subclasses


def test_an_alias_has_the_backend_of_its_settings() -> None:
    backend = task_backends["labelled"]
    assert type(backend) is LabellingBackend
    assert (backend.alias, backend.prefix) == ("labelled", "shop-")
    assert backend.options == {"max_retries": 2, "retry_delay": 0}
    assert aliases.label.get_backend() is backend


def test_a_task_is_of_the_class_of_its_backend() -> None:
    assert [type(each) for each in (aliases.label, tasks.add, aliases.add_plainly)] == [
        LabelledTask,
        LeekTask,
        Task,
    ]


@by_class_of_task
def test_the_decorator_takes_the_attributes_of_that_class() -> None:
    made: Any = task(backend="labelled", label="red", max_retries=7)(sum_up)  # type: ignore[call-overload]
    assert (type(made), made.label, made.max_retries) == (LabelledTask, "red", 7)
    with pytest.raises(TypeError, match="label"):
        task(label="red")(sum_up)  # type: ignore[call-overload]


def test_a_task_is_used_with_the_attributes_of_its_class() -> None:
    made: Any = aliases.label.using(label="red", priority=3)  # type: ignore[call-arg]
    assert (type(made), made.label, made.priority) == (LabelledTask, "red", 3)
    with pytest.raises(TypeError, match="label"):
        tasks.add.using(label="red")  # type: ignore[call-arg]


@in_both_ways
def test_a_subclass_may_do_more_when_it_enqueues(
    calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "shop"):
        result = calls.enqueue(aliases.label, 1)
    assert f"shop-{result.id}" in caplog.messages


@in_both_ways
def test_a_server_runs_the_tasks_of_a_subclass(calls: Calls) -> None:
    result = calls.run(aliases.label, [1])
    assert (result.return_value, result.backend) == ([1], "labelled")
    assert (type(result.task), result.task) == (LabelledTask, aliases.label)
    assert calls.result(aliases.label, result.id) == result


def test_the_sender_of_signals_is_the_subclass(told: Told) -> None:
    heard: list[tuple[type, str]] = []

    def hear(sender: type, task_result: TaskResult, **facts: Any) -> None:
        heard.append((sender, task_result.id))

    for sender in (LeekBackend, LabellingBackend):
        task_enqueued.connect(hear, sender=sender)
    try:
        result = SYNC.run(aliases.label, 1)
    finally:
        for sender in (LeekBackend, LabellingBackend):
            task_enqueued.disconnect(hear, sender=sender)
    assert heard == [(LabellingBackend, result.id)]
    wait_until(lambda: len(told(result)) >= 2, "the signals of the server")
    assert [each["sender"] for each in told(result)] == ["LabellingBackend"] * 2


@in_both_ways
def test_a_subclass_may_have_the_tasks_of_the_framework(calls: Calls) -> None:
    assert type(task_backends["plain"]) is PlainBackend
    made = aliases.add_plainly.using(priority=4)
    result = calls.run(made, 1, second=2)
    assert (result.return_value, result.task) == (3, made)
    assert type(result.task) is Task


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"priority": 1}, "does not support setting priority of tasks"),
        ({"run_after": timedelta(hours=1)}, "does not support run_after"),
    ],
    ids=["priority", "run_after"],
)
def test_what_a_subclass_does_not_support_is_refused(changes: Any, message: str) -> None:
    with with_alias(BACKEND="tests.site.backends.PoorBackend"):
        made = tasks.add.using(backend="made")
        assert made.enqueue(1, 2).status is TaskResultStatus.READY
        with pytest.raises(InvalidTask, match=message):
            made.using(**changes)


def test_async_tasks_are_refused_by_a_subclass_that_does_not_support_them() -> None:
    with (
        with_alias(BACKEND="tests.site.backends.PoorBackend"),
        pytest.raises(InvalidTask, match=r"(?i)backend does not support async tasks"),
    ):
        tasks.add_async.using(backend="made")


# Options


def test_the_options_of_an_alias_hold_for_its_tasks() -> None:
    result = SYNC.run(aliases.fail_labelled)
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 2)
    assert [error.exception_class for error in result.errors] == [tasks.Odd] * 2


def test_a_policy_of_the_function_wins_over_the_options_of_the_alias() -> None:
    assert SYNC.run(aliases.fail_labelled_once).attempts == 1


def test_what_the_task_says_wins_over_the_options_of_the_alias() -> None:
    made = aliases.fail_labelled.using(max_retries=4)  # type: ignore[call-arg]
    result = SYNC.run(made)
    assert (result.attempts, len(result.errors), result.task) == (4, 4, made)


@of_each_kind(tasks.add, tasks.add_async)
def test_a_server_runs_the_tasks_of_an_alias_that_it_does_not_know(a_task: Any) -> None:
    with with_alias(QUEUES=["letters"]):
        result = a_task.using(backend="made", queue_name="letters").enqueue(1, 2)
        assert SYNC.finished(result).return_value == 3
        assert (result.backend, result.task.queue_name) == ("made", "letters")


# Checks


def test_sound_settings_pass_the_check() -> None:
    options = {"max_retries": 5, "timeout": 30, "requires": ["smtp"]}
    with with_alias(QUEUES=["letters"], OPTIONS=options):
        assert task_backends["made"].check() == []


@pytest.mark.parametrize(
    ("params", "problem", "key"),
    [
        ({"OPTIONS": {"tries": 5}}, "tries is no option of leek", "OPTIONS"),
        ({"OPTIONS": {"max_retries": 0}}, "max_retries is 0", "OPTIONS"),
        ({"QUEUES": ["a" * 101]}, "queue is 'aaaa", "QUEUES"),
        ({"QUEUES": [7]}, "queue is 7", "QUEUES"),
    ],
)
def test_a_check_names_what_cannot_be_used(params: dict[str, Any], problem: str, key: str) -> None:
    with with_alias(**params):
        (message,) = task_backends["made"].check()
    assert message.id == "leek.E006"
    assert message.msg.startswith(f'TASKS["made"]: {problem}')
    assert message.hint == f'Correct TASKS["made"]["{key}"].'


def test_a_check_misses_the_app() -> None:
    with modify_settings(INSTALLED_APPS={"remove": "leek"}):
        (message,) = task_backends["default"].check()
    assert (message.id, message.hint) == ("leek.E005", 'Add "leek" to INSTALLED_APPS.')


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="Django has the framework from 6.0 on")
def test_a_check_misses_the_app_of_the_framework() -> None:
    assert run_checks(tags=["leek_settings"]) == []
    with modify_settings(INSTALLED_APPS={"remove": "django_tasks"}):
        messages = run_checks(tags=["leek_settings"])
    assert {message.id for message in messages} == {"leek.E007"}
    assert [message.msg.partition(" ")[0] for message in messages] == [
        'TASKS["default"]',
        'TASKS["mail"]',
        'TASKS["any"]',
    ]
