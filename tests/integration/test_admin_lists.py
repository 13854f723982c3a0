"""The admin's lists stay quick, however long the tables are."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from leek import admin
from leek.admin import readonly
from leek.api import push_many
from tests.site.tasks import noop
from tests.support import finish

pytestmark = pytest.mark.django_db

LISTS = ["queuedtasks", "successtasks", "failedtasks", "servers", "schedules"]


@pytest.fixture
def tasks() -> list[int]:
    """Return the ids of five tasks that succeeded; two more failed."""
    ids = finish(push_many([(noop, (), {})] * 5))
    finish(push_many([(noop, (), {})] * 2), error="ValueError")
    return ids


def sql_of(client: Client, path: str) -> tuple[Any, list[str]]:
    """Return the page, and the statements on leek's tables that it took."""
    with CaptureQueriesContext(connection) as queries:
        page = client.get(path)
    assert page.status_code == 200
    return page, [query["sql"] for query in queries if "leek_" in query["sql"]]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_loads_no_long_column(name: str, tasks: list[int], admin_client: Client) -> None:
    _, statements = sql_of(admin_client, reverse(f"admin:leek_{name}_changelist"))
    for column in ("payload", "result", "traceback"):
        assert not [sql for sql in statements if f"{column}" in sql]
    # The count and the rows; of tasks what the filters offer (3), ids, and rows.
    assert len(statements) == (5 if name == "queuedtasks" else 2)


@pytest.mark.parametrize("query", ["", "?q=noop", "?state=successful", "?_facets=True"])
def test_a_list_counts_up_to_a_bound(
    query: str, tasks: list[int], admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readonly, "COUNTED", 4)
    monkeypatch.setattr(admin.QueuedTasksAdmin, "list_per_page", 3)
    path = reverse("admin:leek_queuedtasks_changelist")
    page, statements = sql_of(admin_client, path + query)
    counts = [sql for sql in statements if "COUNT(" in sql]
    assert counts
    assert all("LIMIT 4" in sql and "ORDER BY" not in sql for sql in counts)
    assert page.context["cl"].result_count == 4
    assert page.context["cl"].paginator.num_pages == 2


def test_a_list_shows_its_pages(
    tasks: list[int], admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin.SuccessTasksAdmin, "list_per_page", 3)
    path = reverse("admin:leek_successtasks_changelist")
    shown = [
        [row.pk for row in admin_client.get(f"{path}?p={number}").context["cl"].result_list]
        for number in (1, 2)
    ]
    newest_first = tasks[::-1]
    assert shown == [newest_first[:3], newest_first[3:]]
