"""The signals of the framework and the records of its log, where tasks are enqueued and run."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from leek.backend import LeekBackend
from tests.integration.backend.contract.conftest import Told
from tests.integration.backend.contract.framework import (
    LOGGER,
    SYNC,
    Calls,
    TaskResult,
    TaskResultStatus,
    in_both_ways,
    of_both_kinds,
    of_each_kind,
    task_enqueued,
)
from tests.site import django_tasks as tasks
from tests.site import receivers
from tests.support import LeekServer, wait_until

pytestmark = [pytest.mark.usefixtures("server"), pytest.mark.logs_errors]


@contextmanager
def hearing_of_new_tasks(sender: type = LeekBackend) -> Iterator[list[TaskResult]]:
    """Return a list of the results that receivers here are told of, when they are enqueued."""
    heard: list[TaskResult] = []

    def hear(task_result: TaskResult, **facts: Any) -> None:
        assert task_result.status is TaskResultStatus.READY
        heard.append(task_result)

    task_enqueued.connect(hear, sender=sender)
    try:
        yield heard
    finally:
        task_enqueued.disconnect(hear, sender=sender)


def all_told(told: Told, result: TaskResult, number: int) -> list[dict[str, Any]]:
    """Return what a server's receivers were told of a task, when there is so much of it."""
    wait_until(lambda: len(told(result)) >= number, f"{number} signals")
    return told(result)


# Where a task is enqueued


@in_both_ways
@of_both_kinds
def test_a_task_is_told_of_once_when_it_is_enqueued(calls: Calls, a_task: Any) -> None:
    with hearing_of_new_tasks() as heard:
        result = calls.enqueue(a_task, 1, two=3)
        assert heard == [result]
    calls.enqueue(a_task)
    assert len(heard) == 1


def test_a_task_is_told_of_in_the_transaction_that_enqueues_it() -> None:
    found: list[TaskResult] = []

    def look(task_result: TaskResult, **facts: Any) -> None:
        found.append(tasks.take_any.get_result(task_result.id))

    task_enqueued.connect(look)
    try:
        with transaction.atomic():
            result = tasks.take_any.enqueue()
            assert found == [result]
            transaction.set_rollback(True)
    finally:
        task_enqueued.disconnect(look)


@in_both_ways
@pytest.mark.parametrize("receiver", [receivers.fail, receivers.break_transaction])
@pytest.mark.parametrize("in_transaction", [False, True], ids=["alone", "in a transaction"])
def test_receivers_that_raise_do_no_harm_where_a_task_is_enqueued(
    calls: Calls,
    receiver: Callable[..., None],
    in_transaction: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    task_enqueued.connect(receiver)
    try:
        with transaction.atomic() if in_transaction else nullcontext():
            result = calls.enqueue(tasks.add, 1, 2)
            assert tasks.add.get_result(result.id).id == result.id
    finally:
        task_enqueued.disconnect(receiver)
        Group.objects.all().delete()
    assert calls.finished(result).return_value == 3
    assert f"Error calling {receiver.__name__}" in caplog.text


def test_a_task_that_is_refused_is_not_told_of() -> None:
    with hearing_of_new_tasks() as heard, pytest.raises(TypeError):
        tasks.echo.enqueue(object())
    assert heard == []


@in_both_ways
def test_the_log_tells_that_a_task_is_enqueued(
    calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, LOGGER):
        result = calls.enqueue(tasks.take_any)
    (record,) = [each for each in caplog.records if each.name == LOGGER]
    message = f"Task id={result.id} path={tasks.take_any.module_path} enqueued backend=default"
    assert (record.levelname, record.getMessage()) == ("DEBUG", message)


# Where a task runs


@in_both_ways
@of_each_kind(tasks.add, tasks.add_async)
def test_start_and_end_of_a_task_are_told_once_each_and_in_order(
    calls: Calls, a_task: Any, told: Told
) -> None:
    result = calls.run(a_task, 40, 2)
    common = {"sender": "LeekBackend", "id": result.id, "attempts": 1, "errors": []}
    assert all_told(told, result, 2) == [
        {
            **common,
            "signal": "started",
            "status": "RUNNING",
            "stored": "RUNNING",
            "value": None,
            "handled": None,
        },
        {
            **common,
            "signal": "finished",
            "status": "SUCCESSFUL",
            "stored": "SUCCESSFUL",
            "value": 42,
            "handled": None,
        },
    ]


@of_each_kind(tasks.fail_by, tasks.fail_async_by)
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("error of the site", "tests.site.django_tasks.Odd: as asked"),
        ("exit", "SystemExit: 3"),
        ("interrupt", "KeyboardInterrupt: as asked"),
    ],
)
def test_receivers_of_the_end_of_a_failed_task_find_its_error_as_handled(
    a_task: Any, kind: str, error: str, told: Told
) -> None:
    result = SYNC.run(a_task, kind)
    started, finished = all_told(told, result, 2)
    assert (started["status"], started["handled"]) == ("RUNNING", None)
    assert (finished["signal"], finished["sender"]) == ("finished", "LeekBackend")
    assert (finished["status"], finished["stored"]) == ("FAILED", "FAILED")
    assert finished["handled"] == error
    assert finished["errors"] == [each.exception_class_path for each in result.errors]
    assert finished["attempts"] == 1


def test_a_task_that_cannot_return_its_value_is_told_of_as_failed(told: Told) -> None:
    result = SYNC.run(tasks.give, "an object")
    started, finished = all_told(told, result, 2)
    assert (started["status"], finished["status"]) == ("RUNNING", "FAILED")
    assert finished["handled"] == "TypeError: the return value: Unsupported type: <class 'object'>"


@of_each_kind(tasks.succeed_at, tasks.succeed_async_at)
def test_each_start_is_told_and_only_the_last_end(a_task: Any, told: Told) -> None:
    result = SYNC.run(a_task, 3)
    heard = all_told(told, result, 4)
    assert [(each["signal"], each["status"], each["attempts"]) for each in heard] == [
        ("started", "RUNNING", 1),
        ("started", "RUNNING", 2),
        ("started", "RUNNING", 3),
        ("finished", "SUCCESSFUL", 3),
    ]
    assert [len(each["errors"]) for each in heard] == [0, 1, 2, 2]


def test_a_task_that_fails_in_its_last_attempt_is_told_of_with_all_errors(told: Told) -> None:
    result = SYNC.run(tasks.fail_always)
    *_, finished = all_told(told, result, 4)
    assert finished["errors"] == ["builtins.ValueError", "builtins.KeyError", "builtins.OSError"]
    assert (finished["status"], finished["attempts"]) == ("FAILED", 3)
    assert finished["handled"] == "OSError: attempt 3"


def test_a_task_that_was_enqueued_in_a_transaction_is_told_of_likewise(told: Told) -> None:
    with transaction.atomic():
        result = tasks.add.enqueue(1, 2)
    SYNC.finished(result)
    assert [each["signal"] for each in all_told(told, result, 2)] == ["started", "finished"]


# The log of a server


@of_both_kinds
def test_the_log_of_a_server_tells_of_start_and_success(a_task: Any, server: LeekServer) -> None:
    result = SYNC.run(a_task)
    record = f"INFO|{LOGGER}|Task id={result.id} path={a_task.module_path} state="
    wait_until(lambda: f"{record}SUCCESSFUL|" in server.log, "the record of the end")
    assert server.log.count(f"{record}RUNNING|\n") == 1
    assert server.log.count(f"{record}SUCCESSFUL|\n") == 1
    assert "NoneType" not in server.log


@of_each_kind(tasks.fail_by, tasks.fail_async_by)
def test_the_log_of_a_server_tells_of_a_failure_with_its_traceback(
    a_task: Any, server: LeekServer
) -> None:
    result = SYNC.run(a_task, "error of the site")
    path = a_task.module_path
    record = f"ERROR|{LOGGER}|Task id={result.id} path={path} state=FAILED|"
    wait_until(lambda: record in server.log, "the record of the end")
    wait_until(lambda: "Odd: as asked\n" in server.log.partition(record)[2], "the traceback")
    assert f"INFO|{LOGGER}|Task id={result.id} path={path} state=RUNNING|\n" in server.log
    assert server.log.count(record) == 1


def test_the_log_of_a_server_tells_nothing_of_attempts_between(server: LeekServer) -> None:
    result = SYNC.run(tasks.succeed_at, 3)
    record = f"|{LOGGER}|Task id={result.id} path={tasks.succeed_at.module_path} state="
    wait_until(lambda: f"INFO{record}SUCCESSFUL|" in server.log, "the record of the end")
    assert server.log.count(f"INFO{record}RUNNING|") == 3
    assert server.log.count(record) == 4
