"""The admin, as a superuser sees it: everything can be looked at, nothing can be changed."""

from typing import Any

import pytest
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from leek import leases, lifecycle
from leek.api import push_many, push_task_to_queue
from leek.models import (
    FailedAttempts,
    FailedTasks,
    Gates,
    QueuedTasks,
    Schedules,
    Servers,
    State,
    SuccessTasks,
)
from tests.site import tasks
from tests.support import finish

pytestmark = pytest.mark.django_db

Model = type[models.Model]
of_each_model = pytest.mark.parametrize(
    "model", [QueuedTasks, SuccessTasks, FailedTasks, FailedAttempts, Gates, Servers, Schedules]
)


@pytest.fixture(autouse=True)
def ids() -> dict[str, int]:
    """Have tasks and a server to look at; return the tasks' ids, by a word for each."""
    (successful,) = finish([push_task_to_queue(tasks.noop)])
    (failed,) = finish([push_task_to_queue(tasks.add, 1, 2)], "ValueError")
    ready = push_task_to_queue(tasks.noop).pk
    lifecycle.note_outage("smtp", "ConnectionRefusedError")
    leases.register(address="127.0.0.1", port=1, workers=2, queues=["mail"], seconds=30)
    lifecycle.begin_schedules(["cleanup"])
    return {"successful": successful, "failed": failed, "ready": ready}


def page(model: Model, name: str, *args: Any) -> str:
    """Return the address of one of a model's pages."""
    return reverse(f"admin:leek_{model._meta.model_name}_{name}", args=args)


def listed(client: Client, model: Model, **query: Any) -> list[Any]:
    """Return the keys of the rows that a list shows."""
    answer = client.get(page(model, "changelist"), query)
    assert answer.status_code == 200
    return [row.pk for row in answer.context["cl"].result_list]


@of_each_model
def test_all_rows_are_listed(admin_client: Client, model: Model) -> None:
    rows = set(model._default_manager.values_list("pk", flat=True))
    assert rows
    assert set(listed(admin_client, model)) == rows


@of_each_model
def test_each_row_has_a_page(admin_client: Client, model: Model) -> None:
    for row in model._default_manager.all():
        answer = admin_client.get(page(model, "change", row.pk))
        assert answer.status_code == 200
        assert str(row) in answer.content.decode()


@of_each_model
def test_adding_changing_and_deleting_are_refused(admin_client: Client, model: Model) -> None:
    before = list(model._default_manager.order_by("pk").values())
    row = before[0]
    key = row[model._meta.pk.attname]
    for address in (page(model, "add"), page(model, "change", key), page(model, "delete", key)):
        assert admin_client.post(address, {"post": "yes", **text(row)}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": key, "post": "yes"}
    assert "delete_selected" not in admin_client.get(page(model, "changelist")).content.decode()
    admin_client.post(page(model, "changelist"), chosen)
    assert list(model._default_manager.order_by("pk").values()) == before


def text(row: dict[str, Any]) -> dict[str, str]:
    """Return the fields of a row as a form sends them."""
    return {name: "" if value is None else str(value) for name, value in row.items()}


@pytest.mark.parametrize(
    ("model", "words"),
    [(QueuedTasks, {"failed"}), (SuccessTasks, set()), (FailedTasks, {"failed"})],
)
def test_tasks_are_found_by_id_and_by_name(
    admin_client: Client, model: Model, words: set[str], ids: dict[str, int]
) -> None:
    found = [ids[word] for word in words]
    assert listed(admin_client, model, q=str(ids["failed"])) == found
    assert listed(admin_client, model, q="tasks.add") == found
    assert listed(admin_client, model, q="no such task") == []


@pytest.mark.parametrize(
    ("state", "word"),
    [(State.READY, "ready"), (State.SUCCESSFUL, "successful"), (State.FAILED, "failed")],
)
def test_tasks_are_filtered_by_state(
    admin_client: Client, ids: dict[str, int], state: State, word: str
) -> None:
    offered = admin_client.get(page(QueuedTasks, "changelist")).content.decode()
    assert f'"?state={word}"' in offered
    for value in (word, int(state)):
        assert listed(admin_client, QueuedTasks, state=value) == [ids[word]]


@pytest.mark.parametrize("model", [QueuedTasks, SuccessTasks, FailedTasks])
def test_a_list_takes_as_many_queries_for_many_rows_as_for_few(
    admin_client: Client, model: Model
) -> None:
    few = queries(admin_client, model)
    finish(push_many([(tasks.noop, (), {})] * 20))
    finish(push_many([(tasks.noop, (), {})] * 20), "ValueError")
    assert queries(admin_client, model) == few


def queries(client: Client, model: Model) -> int:
    """Return how many queries a list takes."""
    with CaptureQueriesContext(connection) as made:
        listed(client, model)
    return len(made)
