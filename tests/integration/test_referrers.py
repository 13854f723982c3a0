"""Purging tasks that models of the site refer to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
from django.db import connection

from leek import upkeep
from leek.api import push_many, push_task_to_queue
from leek.models import FailedTasks, QueuedTasks, SuccessTasks
from tests.site.tasks import noop
from tests.support import finish, run, run_at


@contextmanager
def shop() -> Iterator[ModuleType]:
    """Return the models of the shop, which have their tables meanwhile."""
    from tests.shop import models  # only where it is installed

    tables = (models.Orders, models.Parcels, models.Complaints, models.Receipts)
    with connection.schema_editor() as editor:
        for table in tables:
            editor.create_model(table)
    try:
        yield models
    finally:
        with connection.schema_editor() as editor:
            for table in tables:
                editor.delete_model(table)


def on_delete_is_obeyed() -> None:
    with shop() as models:
        ids = finish(push_many([(noop, (), {})] * 3), error="ValueError")
        waiting = push_task_to_queue(noop).pk
        for task_id in (*ids, waiting):
            models.Orders.objects.create(task_id=task_id)
        for task_id in ids:
            models.Parcels.objects.create(task_id=task_id)
            models.Complaints.objects.create(failure_id=task_id)
        assert run("leek_purge", "--all") == "Deleted 3 tasks.\n"
        assert QueuedTasks.objects.get().pk == waiting
        assert not FailedTasks.objects.exists()
        orders = models.Orders.objects.order_by("pk").values_list("task_id", flat=True)
        assert list(orders) == [None, None, None, waiting]
        assert not models.Parcels.objects.exists()
        assert not models.Complaints.objects.exists()


def what_is_protected_stays() -> None:
    with shop() as models:
        ids = finish(push_many([(noop, (), {})] * 20))
        kept = {ids[0], ids[12]}
        for task_id in kept:
            models.Receipts.objects.create(task_id=task_id)
        upkeep.FIRST_BATCH, upkeep.LARGEST_BATCH, upkeep.SOON = 7, 7, float("inf")
        assert list(upkeep.purge(upkeep.successes())) == [6, 6, 6]
        assert set(QueuedTasks.objects.values_list("pk", flat=True)) == kept
        assert set(SuccessTasks.objects.values_list("pk", flat=True)) == kept


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("function", [on_delete_is_obeyed, what_is_protected_stays])
def test_a_purge(function: Callable[[], None], port: int) -> None:
    run_at("tests.shop.settings", function)
