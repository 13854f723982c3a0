"""Tasks of the framework that run where they are enqueued: the setting EAGER."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings

from leek.framework import task_enqueued, task_finished, task_started
from tests.integration.backend.contract.framework import (
    LOGGER,
    SYNC,
    Calls,
    TaskResultStatus,
    in_both_ways,
    of_each_kind,
)
from tests.site import django_tasks as tasks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.any_database]


@pytest.fixture(autouse=True)
def eager() -> Iterator[None]:
    """Run tasks at once."""
    with override_settings(TASKS_QUEUE={"EAGER": True}):
        yield


@in_both_ways
@of_each_kind(tasks.add, tasks.add_async)
def test_enqueuing_returns_the_result_of_a_task_that_has_run(calls: Calls, a_task: Any) -> None:
    result = calls.enqueue(a_task, 40, second=2)
    assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, 42)
    assert (result.args, result.kwargs, result.task) == ([40], {"second": 2}, a_task)
    assert (result.attempts, result.worker_ids, result.errors) == (1, ["eager"], [])
    assert result.enqueued_at is not None
    assert result.started_at is not None
    assert result.finished_at is not None
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert result.last_attempted_at == result.started_at
    assert calls.result(a_task, result.id) == result


@in_both_ways
@of_each_kind(tasks.fail_by, tasks.fail_async_by)
@pytest.mark.parametrize(
    ("kind", "error"), [("error of the site", tasks.Odd), ("exit", SystemExit)]
)
def test_a_task_that_raises_has_failed(
    calls: Calls, a_task: Any, kind: str, error: type[BaseException]
) -> None:
    result = calls.enqueue(a_task, kind)
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 1)
    assert [each.exception_class for each in result.errors] == [error]
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value


def test_a_task_is_tried_once() -> None:
    result = tasks.fail_always.enqueue()
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 1)


def test_a_return_value_that_json_has_not_fails_the_task() -> None:
    result = tasks.give.enqueue("an object")
    assert [each.exception_class for each in result.errors] == [TypeError]


@of_each_kind(tasks.tell, tasks.tell_async)
def test_a_context_has_the_result_of_the_task_that_runs(a_task: Any) -> None:
    result = SYNC.enqueue(a_task, 1, "one")
    told = result.return_value
    assert (told["id"], told["attempt"], told["status"]) == (result.id, 1, "RUNNING")
    assert (told["workers"], told["own"]) == (["eager"], [["one"], {}])


@in_both_ways
def test_signals_are_sent_in_order(calls: Calls) -> None:
    heard: list[tuple[Any, str, bool]] = []

    def hear(signal: Any, sender: type, task_result: Any, **facts: Any) -> None:
        is_in_step = tasks.add.get_result(task_result.id).status == task_result.status
        heard.append((signal, task_result.status.value, is_in_step))

    signals = (task_enqueued, task_started, task_finished)
    for signal in signals:
        signal.connect(hear)
    try:
        calls.enqueue(tasks.add, 1, 2)
    finally:
        for signal in signals:
            signal.disconnect(hear)
    assert heard == [
        (task_enqueued, "READY", True),
        (task_started, "RUNNING", True),
        (task_finished, "SUCCESSFUL", True),
    ]


def test_the_log_tells_of_the_task(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, LOGGER):
        good, bad = tasks.add.enqueue(1, 2), tasks.fail_by.enqueue("error of the site")
    records = [record for record in caplog.records if record.name == LOGGER]
    assert [record.levelname for record in records] == [
        *("DEBUG", "INFO", "INFO"),
        *("DEBUG", "INFO", "ERROR"),
    ]
    told = [record.getMessage() for record in records]
    assert [good.id in message for message in told] == [True] * 3 + [False] * 3
    assert f"id={bad.id} path={tasks.fail_by.module_path} state=FAILED" in told[-1]
    assert "Odd: as asked" in caplog.text


def test_a_task_does_not_wait_for_the_commit_or_its_time() -> None:
    with transaction.atomic():
        result = tasks.add.using(run_after=timedelta(hours=1)).enqueue(1, 2)  # type: ignore[arg-type]
        assert result.return_value == 3
        transaction.set_rollback(True)


def test_times_are_naive_where_the_site_has_no_time_zones() -> None:
    with override_settings(USE_TZ=False):
        result = tasks.add.enqueue(1, 2)
        assert result == tasks.add.get_result(result.id)
    assert result.enqueued_at is not None
    assert result.started_at is not None
    assert result.enqueued_at <= result.started_at
    assert result.enqueued_at.tzinfo is result.started_at.tzinfo is None
