"""The list of all tasks finds them by id, name and arguments, and finds no secret."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from leek.admin import looking
from leek.api import push_many, push_task_to_queue, using
from leek.models import QueuedTasks
from tests.site.tasks import add, echo, noop
from tests.support import finish

pytestmark = pytest.mark.django_db


def get(client: Client, text: object, **query: Any) -> Any:
    """Return the list of what is found."""
    answer = client.get(reverse("admin:leek_queuedtasks_changelist"), {"q": text, **query})
    assert answer.status_code == 200
    return answer


def found(client: Client, text: object, **query: Any) -> list[int]:
    """Return the ids of the tasks that are found."""
    return [row.pk for row in get(client, text, **query).context["cl"].result_list]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("ann@example.com", "ann@example"),
        ("ann@example.com", "ANN@Example.com"),
        ("Zürich", "Zürich"),
        ("Zürich", "zÜRICH"),
        ("Ülm", "ülm"),
        ("日本語", "本"),
        ('she said "no"', '"she said"'),
        ('she said "no"', "said"),
        ('it\'s "here"', "it's"),
        ("C:\\temp", "C:\\temp"),
        ("100%", "100%"),
        ("a_b", "a_b"),
        (12345, "12345"),
        ({"deep": ["down"]}, "down"),
    ],
)
def test_a_task_is_found_by_its_arguments(admin_client: Client, value: Any, text: str) -> None:
    task = push_task_to_queue(echo, value).pk
    push_task_to_queue(echo, "aXb something else")
    assert found(admin_client, text) == [task]


def test_all_words_have_to_be_there_in_the_name_or_the_arguments(admin_client: Client) -> None:
    task = push_task_to_queue(echo, "first", last="second").pk
    other = push_task_to_queue(echo, "first").pk
    assert found(admin_client, "first") == [other, task]
    assert found(admin_client, "second first") == [task]
    assert found(admin_client, "ECHO second") == [task]
    assert found(admin_client, '"first second"') == []


def test_a_task_is_found_by_its_id_wherever_it_is(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = push_task_to_queue(noop).pk
    new = push_task_to_queue(echo, str(old)).pk
    push_many([(noop, (), {})] * 3)
    assert found(admin_client, old) == [new, old]
    monkeypatch.setattr(looking, "PAYLOADS", 2)
    page = get(admin_client, old).context["cl"]
    assert ([row.pk for row in page.result_list], page.result_count) == ([old], 1)
    assert list(page.queryset) == list(page.result_list)
    assert found(admin_client, old, state="failed") == []
    for text in ("9" * 18, "9" * 40, "²", "-1"):
        assert found(admin_client, text) == []


def test_what_is_redacted_is_not_found(admin_client: Client) -> None:
    task = push_task_to_queue(echo, "open", password="hunter2").pk
    push_task_to_queue(echo, {"api_key": "hunter2"})
    for text in ("hunter2", "hunter", "open hunter2", '"password": "hunter2'):
        assert found(admin_client, text) == []
    assert found(admin_client, "open") == found(admin_client, "password open") == [task]


@pytest.mark.parametrize(
    ("rows", "lookup"),
    [
        ("queuedtasks", "payload__contains"),
        ("queuedtasks", "payload__startswith"),
        ("queuedtasks", "payload"),
        ("successtasks", "result__regex"),
        ("successtasks", "task__payload__contains"),
        ("failedattempts", "task__payload__contains"),
    ],
)
def test_no_address_filters_by_what_may_hold_secrets(
    admin_client: Client, rows: str, lookup: str
) -> None:
    answer = admin_client.get(reverse(f"admin:leek_{rows}_changelist"), {lookup: "hunter2"})
    assert answer.status_code == 400


def test_nothing_is_found_in_what_frames_the_arguments(admin_client: Client) -> None:
    task = push_task_to_queue(echo, "x")
    signature = task.payload.rpartition(":")[2]
    for text in (signature, "callable", '"{"'):
        assert found(admin_client, text) == []


def test_pickles_are_not_searched_and_not_run(admin_client: Client) -> None:
    push_task_to_queue(echo, complex(1, 2), "word")
    assert found(admin_client, "pickle") == []
    assert found(admin_client, "word") == []
    assert "pickle" in get(admin_client, "").content.decode()


def test_a_payload_that_is_damaged_is_found_by_its_name_only(admin_client: Client) -> None:
    task = push_task_to_queue(echo, "word")
    QueuedTasks.objects.filter(pk=task.pk).update(payload=task.payload + "x")
    assert found(admin_client, "word") == []
    assert found(admin_client, "echo") == [task.pk]


def test_text_is_searched_along_with_the_filters(admin_client: Client) -> None:
    (failed,) = finish([push_task_to_queue(echo, "word")], "ValueError")
    (successful,) = finish([push_task_to_queue(echo, "word")])
    ready = using(queue="mail").push(echo, "word").pk
    assert found(admin_client, "word") == [ready, successful, failed]
    for state, task in (("failed", failed), ("successful", successful), ("waiting", ready)):
        assert found(admin_client, "word", state=state) == [task]
        assert found(admin_client, "echo", state=state) == [task]
        assert found(admin_client, task, state=state) == [task]
    assert found(admin_client, "word", exception="ValueError") == [failed]
    assert found(admin_client, "word", queue="mail", pushed="hour") == [ready]


def test_so_many_arguments_are_compared_and_no_more(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "CANDIDATES", 2)
    rows = push_many([(echo, ("word",), {})] * 3)
    page = get(admin_client, "word").context["cl"]
    assert [row.pk for row in page.result_list] == [rows[2].pk, rows[1].pk]
    assert [notice.text for notice in page.notices] == [
        "More tasks may have this in their arguments: the newest 2 were compared."
    ]
    assert len(found(admin_client, "echo")) == 3  # by their name they are all found
    assert len(found(admin_client, rows[0].pk)) == 1


def test_payloads_are_looked_for_among_the_newest_tasks(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = push_task_to_queue(echo, "word").pk
    push_many([(noop, (), {})] * 3)
    monkeypatch.setattr(looking, "PAYLOADS", 3)
    page = get(admin_client, "word").context["cl"]
    assert [notice.text for notice in page.notices] == ["Looked through the newest 3 tasks."]
    assert (list(page.result_list), found(admin_client, "word", all_tasks=1)) == ([], [old])


def test_only_candidates_are_loaded_with_their_payload(admin_client: Client) -> None:
    push_many([(add, (1, 2), {})] * 5)
    with CaptureQueriesContext(connection) as queries:
        found(admin_client, "word")
    loads = [query["sql"] for query in queries if "payload" in query["sql"].split(" FROM ")[0]]
    assert len(loads) == 1
