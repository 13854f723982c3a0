"""The database fails when an earlier attempt of a task is read: that costs the task nothing."""

from collections.abc import Callable
from contextvars import Context
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import DataError, OperationalError, connection

from leek import lifecycle
from leek.models import FailedAttempts, QueuedTasks
from leek.outcome import Failure, Outcome, Success, Undone
from leek.policy import Terms
from leek.retry import RetryPolicy
from leek.server.executor import Attempt, Executor
from tests.integration.backend.contract.framework import of_each_kind
from tests.site import django_tasks as tasks

pytestmark = pytest.mark.django_db(transaction=True)


def run_retry(a_task: Any, error: Exception | None) -> Outcome:
    """Run a task for the second time; reading the first attempt ends in this error."""

    def read(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if error and FailedAttempts._meta.db_table in sql:
            raise error
        return execute(sql, *rest)

    row = QueuedTasks.objects.get(pk=a_task.enqueue(1, 2).id)
    QueuedTasks.objects.filter(pk=row.pk).update(tries=1)
    executor = Executor(Terms(RetryPolicy(1, 0, 0)), "auto", park_for=0)
    attempt = executor.load(lifecycle.claim_one(row))
    assert isinstance(attempt, Attempt)
    with connection.execute_wrapper(read):
        if a_task.func is tasks.add_async.func:
            return Context().run(async_to_sync(executor.attempt_in_loop), attempt)
        return executor.attempt(attempt)


@of_each_kind(tasks.add, tasks.add_async)
def test_an_outage_spends_no_try(a_task: Any) -> None:
    assert isinstance(run_retry(a_task, OperationalError("server closed")), Undone)
    assert isinstance(run_retry(a_task, None), Success)


@of_each_kind(tasks.add, tasks.add_async)
def test_what_fails_for_good_fails_the_task(a_task: Any) -> None:
    assert isinstance(run_retry(a_task, DataError("not a time")), Failure)
