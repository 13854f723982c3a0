"""EAGER: tasks run where they are pushed."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test import override_settings

from leek.api import push_many, push_task_to_queue
from leek.exceptions import TaskFailed
from leek.models import QueuedTasks, Status
from tests.site import tasks


@pytest.fixture(autouse=True)
def eager() -> Iterator[None]:
    """Run the tasks of this test where they are pushed."""
    with override_settings(TASKS_QUEUE={"EAGER": True}):
        yield


@pytest.mark.django_db
def test_a_push_returns_a_finished_task() -> None:
    row = push_task_to_queue(tasks.add, 1, 2)
    assert (row.status, row.result, row.tries) == (Status.SUCCESSFUL, 3, 1)
    assert [row.result for row in push_many([(tasks.add, (1, 2), {})] * 2)] == [3, 3]


@pytest.mark.django_db
def test_what_a_task_raises_stays_with_it() -> None:
    row = push_task_to_queue(tasks.fail)
    assert row.status == Status.FAILED
    with pytest.raises(TaskFailed, match="ValueError: as asked"):
        _ = row.result


def push_one_that_breaks_the_transaction(how: Any) -> None:
    """Push a task that ends in a database error, and expect it to stay with the task."""
    Group.objects.create(name="gardeners")
    row = push_task_to_queue(how, "gardeners")
    assert row.status == Status.FAILED
    assert row.exception is not None
    assert row.exception.type == "django.db.utils.IntegrityError"
    assert Group.objects.count() == 1
    assert push_task_to_queue(tasks.add, 1, 2).result == 3


@pytest.mark.django_db
@pytest.mark.parametrize("how", [tasks.create_group, tasks.insert_group])
def test_a_database_error_leaves_the_open_transaction_usable(how: Any) -> None:
    push_one_that_breaks_the_transaction(how)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", [tasks.create_group, tasks.insert_group])
def test_a_database_error_outside_a_transaction_stays_with_the_task(how: Any) -> None:
    push_one_that_breaks_the_transaction(how)
    with transaction.atomic():
        Group.objects.all().delete()
        push_one_that_breaks_the_transaction(how)
    assert not connection.in_atomic_block
    assert QueuedTasks.objects.count() == 4
