"""Which database the rows are in, and what databases can do."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import DataError, IntegrityError, connection
from django.test import Client, override_settings
from django.test.utils import setup_test_environment
from django.urls import reverse
from django.utils import timezone

from leek import leases, lifecycle, status
from leek.api import push_many, push_task_to_queue, using
from leek.framework import InvalidTask
from leek.models import (
    FailedAttempts,
    FailedTasks,
    PausedQueues,
    QueuedTasks,
    Servers,
    State,
    SuccessTasks,
)
from leek.testing import run_pushed
from tests.conftest import StartServer
from tests.site.django_policies import write_and_fail
from tests.site.django_tasks import succeed_at
from tests.site.tasks import echo, noop, record
from tests.support import ROOT, finish, manage, run, run_at, wait_for_connections

SETTINGS = "tests.two_databases"
MODELS = (QueuedTasks, SuccessTasks, FailedTasks, FailedAttempts, Servers)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TASK = {"name": "a", "payload": "b", "run_after": NOON, "pushed_at": NOON}


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of two databases that have all tables."""
    home = tmp_path_factory.mktemp("migrated")
    for alias in ("default", "queue"):
        answer = manage(
            "migrate",
            f"--database={alias}",
            DJANGO_SETTINGS_MODULE=SETTINGS,
            TESTS_HOME=str(home),
        )
        assert answer.returncode == 0, answer.stderr
    return home


def elsewhere() -> QueuedTasks:
    """Return a failed task of the other database, as loaded from there."""
    now = timezone.now()
    row = QueuedTasks.objects.using("default").create(
        name="elsewhere", state=State.FAILED, run_after=now, pushed_at=now
    )
    FailedTasks.objects.using("default").create(
        task_id=row.pk, exception_type="Elsewhere", started_at=now, finished_at=now
    )
    return QueuedTasks.objects.using("default").get(pk=row.pk)


def a_pushed_task_is_found() -> None:
    row = push_task_to_queue(noop)
    assert QueuedTasks.objects.get(pk=row.pk) == row
    assert QueuedTasks.objects.raw("SELECT * FROM leek_queuedtasks")[0] == row
    assert QueuedTasks.objects.using("queue").exists()
    assert not QueuedTasks.objects.using("default").exists()
    row.refresh_from_db()
    assert row.state == State.READY


def an_outcome_is_found() -> None:
    good, bad = push_many([(noop, (), {})] * 2)
    finish([good])
    finish([bad], error="ValueError")
    assert good.wait(timeout=10) is None
    assert good.success.result is None
    bad.refresh_from_db()
    assert bad.exception is not None
    assert bad.failure.exception_type == bad.exception.type == "ValueError"
    assert FailedTasks.objects.get().task == bad
    figures = status.figures()
    assert (figures.successful, figures.failed, status.waiting()) == (1, 1, 0)
    assert run("leek_retry_failed") == "Pushed back 1 tasks.\n"
    assert run("leek_purge") == "Deleted 1 tasks.\n"


def a_row_is_read_where_it_came_from() -> None:
    row = elsewhere()
    row.refresh_from_db()
    assert row._state.db == "default"
    assert row.failure.exception_type == "Elsewhere"
    assert FailedTasks.objects.using("default").get().task.name == "elsewhere"
    assert not FailedTasks.objects.exists()


def related_rows_are_found() -> None:
    server = leases.register(address="x", port=1, workers=1, queues=None, seconds=30)
    push_task_to_queue(noop)
    lifecycle.claim(server.pk, 1, 1, None)
    (row,) = server.queuedtasks_set.all()
    assert row.owner == server
    assert QueuedTasks.objects.prefetch_related("owner").get().owner == server
    assert FailedTasks._meta.get_field("task").formfield().queryset.get() == row  # type: ignore[union-attr]


def tasks_are_deleted_with_their_outcome() -> None:
    elsewhere()
    finish([push_task_to_queue(noop)], error="ValueError")
    assert QueuedTasks.objects.all().delete()[0] == len([QueuedTasks, FailedTasks, FailedAttempts])
    assert not any(model.objects.exists() for model in MODELS)
    assert FailedTasks.objects.using("default").count() == 1


def the_admin_shows_what_there_is() -> None:
    finish([push_task_to_queue(noop)], error="ValueError")
    finish([push_task_to_queue(noop)])
    leases.register(address="x", port=1, workers=1, queues=None, seconds=30)
    setup_test_environment()
    client = Client()
    client.force_login(User.objects.create_superuser("ann"))
    for model in MODELS:
        path = f"admin:{model._meta.label_lower.replace('.', '_')}"
        rows = client.get(reverse(f"{path}_changelist")).context["cl"].result_list
        assert list(rows) == list(model.objects.using("queue").order_by("-pk"))
        for row in rows:
            assert client.get(reverse(f"{path}_change", args=[row.pk])).status_code == 200


def staff_acts_where_the_queue_is() -> None:
    deferred = using(run_after=timedelta(hours=1), queue="mail").push
    ids = {name: deferred(noop).pk for name in ("run_tasks_now", "cancel_tasks", "move_tasks")}
    ids["retry_tasks"], ids["purge_tasks"] = finish(push_many([(noop, (), {})] * 2), "ValueError")
    setup_test_environment()
    client = Client()
    client.force_login(User.objects.create_superuser("ann"))
    for action, task_id in ids.items():
        said = {"action": action, "index": 0, "_selected_action": task_id, "post": "yes"}
        answer = client.post(
            reverse("admin:leek_queuedtasks_changelist"), {**said, "priority": 7}, follow=True
        )
        assert answer.status_code == 200
    for word in ("pause", "resume"):
        assert client.post(reverse("admin:leek_live"), {word: "mail"}).status_code == 302
        assert PausedQueues.objects.using("queue").exists() == (word == "pause")
    tasks = QueuedTasks.objects.using("queue").order_by("pk").values_list("state", "priority")
    assert list(tasks) == [
        (State.READY, 0),
        (State.FAILED, 0),
        (State.DEFERRED, 7),
        (State.READY, 0),
    ]
    assert LogEntry.objects.using("default").count() == len(ids) + 2


def whoever_looks_sees_where_the_queue_is() -> None:
    using(queue="mail").push(noop)
    lifecycle.pause("mail")
    setup_test_environment()
    client = Client()
    client.force_login(User.objects.create_superuser("ann"))
    assert "mail" in client.get(reverse("admin:leek_live")).content.decode()
    filters = {"queue": "mail", "pushed": "hour", "q": "noop"}
    page = client.get(reverse("admin:leek_queuedtasks_changelist"), filters)
    assert page.context["cl"].result_count == 1
    with override_settings(
        TASKS_QUEUE=getattr(settings, "TASKS_QUEUE", {}) | {"HEALTH_TOKEN": "t" * 20}
    ):
        assert client.get("/leek/health/").json()["oldest_waiting"] is not None
        metrics = client.get("/leek/metrics/").content.decode()
    assert 'leek_queue_paused{queue="mail"} 1.0' in metrics


def what_is_enqueued_is_run_and_found() -> None:
    result = succeed_at.enqueue(2)
    assert QueuedTasks.objects.using("queue").get().pk == int(result.id)
    assert not QueuedTasks.objects.using("default").exists()
    (row,) = run_pushed(include_deferred=True)
    assert row.state == State.SUCCESSFUL
    result.refresh()
    assert (result.return_value, result.attempts, len(result.errors)) == (1, 2, 1)
    waiting = succeed_at.enqueue(2)
    assert QueuedTasks.objects.get(pk=waiting.id).cancel()
    waiting.refresh()
    assert waiting.status == "FAILED"
    atomic: Any = write_and_fail
    with pytest.raises(InvalidTask, match='but the queue is in "queue"'):
        atomic.enqueue("tag")
    assert atomic.using(atomic="queue").enqueue("tag").status == "READY"


@pytest.mark.any_database  # its databases are its own
@pytest.mark.parametrize("extra", [{}, {"TESTS_ROUTER": "1"}], ids=["DATABASE", "router"])
@pytest.mark.parametrize(
    "function",
    [
        a_pushed_task_is_found,
        an_outcome_is_found,
        a_row_is_read_where_it_came_from,
        related_rows_are_found,
        tasks_are_deleted_with_their_outcome,
        the_admin_shows_what_there_is,
        staff_acts_where_the_queue_is,
        whoever_looks_sees_where_the_queue_is,
        what_is_enqueued_is_run_and_found,
    ],
    ids=lambda function: function.__name__,
)
def test_a_queue_outside_the_default_database(
    function: Callable[[], None], extra: dict[str, str], migrated: Path, tmp_path: Path, port: int
) -> None:
    home = shutil.copytree(migrated, tmp_path / "home")
    run_at(SETTINGS, function, TESTS_HOME=str(home), **extra)


def attributes(row: QueuedTasks) -> dict[str, object]:
    """Return what there is in a row."""
    return {name: value for name, value in vars(row).items() if name != "_state"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("returns_ids", [True, False])
class TestPushManyWhateverTheDatabaseReturns:
    """MySQL does not return the ids of many rows, MariaDB and the others do."""

    @pytest.fixture(autouse=True)
    def _as_such_a_database(self, returns_ids: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        features = connection.features
        if not returns_ids and connection.vendor == "postgresql":
            pytest.skip("PostgreSQL always returns the ids, and knows no last one")
        if not returns_ids:
            monkeypatch.setattr(type(features), "can_return_rows_from_bulk_insert", False)
        elif not features.can_return_rows_from_bulk_insert:
            pytest.skip("this database does not return the ids of many rows")

    def test_the_rows_have_their_ids(self, port: int) -> None:
        rows = push_many([(echo, (number,), {}) for number in range(3)])
        stored = QueuedTasks.objects.order_by("pk")
        assert [*map(attributes, rows)] == [*map(attributes, stored)]

    def test_what_looks_like_syntax_is_stored_as_it_is(self, port: int) -> None:
        texts = [
            "NULL",
            "",
            "{a,b}",
            'a "quoted" \\ one',
            "%s %(name)s",
            "it's; --",
            "\n\t",
            "日本",
        ]
        tasks = [TASK | {"name": text, "payload": text} for text in texts]
        rows = lifecycle.push(tasks)
        stored = QueuedTasks.objects.in_bulk([row.pk for row in rows])
        assert [stored[row.pk].name for row in rows] == texts
        assert [stored[row.pk].payload for row in rows] == texts

    def test_none_is_stored_where_one_cannot_be(self, port: int) -> None:
        first = push_task_to_queue(noop)
        with pytest.raises(IntegrityError):
            lifecycle.push([TASK | {"unique_key": "taken"}] * 2)
        assert QueuedTasks.objects.get() == first

    @pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite takes texts of any length")
    def test_nothing_is_cut_off(self, port: int) -> None:
        with pytest.raises(DataError):
            lifecycle.push([TASK, TASK | {"queue": "q" * 101}])
        assert not QueuedTasks.objects.exists()


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no number of connections")
@pytest.mark.django_db(transaction=True)
def test_a_server_keeps_few_connections(start_server: StartServer) -> None:
    """A database has only so many, and hosts and processes share them."""
    start_server()
    wait_for_connections(2)  # of what claims and of what renews the lease
    push_task_to_queue(noop).wait(60)
    wait_for_connections(3)  # and of what stores outcomes
    push_task_to_queue(record, "once").wait(60)
    wait_for_connections(4)  # and of the Worker that ran what uses the database


def test_only_one_package_asks_what_a_database_can_do() -> None:
    asking = {
        path.parent.name
        for path in (ROOT / "leek").rglob("*.py")
        if any(
            word in path.read_text() for word in ("connection.features", "].features", ".vendor")
        )
    }
    assert asking == {"database"}
