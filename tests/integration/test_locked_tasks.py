"""Tasks that an open transaction has locked, to cancel them, say, hold up no others."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from leek import lifecycle
from leek.api import push_task_to_queue, using
from leek.models import QueuedTasks, State
from tests.conftest import StartServer
from tests.site.tasks import noop

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows"),
]


@contextmanager
def locked(row: QueuedTasks) -> Iterator[None]:
    """Lock a task, by another connection."""
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM leek_queuedtasks WHERE id = %s FOR UPDATE", [row.pk])
            yield
        other.rollback()  # a server notices later that a connection is closed
    finally:
        other.close()


def test_what_is_due_is_made_ready_but_for_those() -> None:
    first, second = using(run_after=timedelta(hours=1)).push_many([(noop, (), {})] * 2)
    QueuedTasks.objects.update(run_after=timezone.now() - timedelta(seconds=1))
    with locked(first):
        assert lifecycle.promote(None, 1) == 1
        assert QueuedTasks.objects.get(state=State.READY) == second
        assert lifecycle.promote(None, 1) == 0
    assert lifecycle.promote(None, 1) == 1


def test_what_waits_at_a_gate_goes_on_but_for_those() -> None:
    first, second = using().push_many([(noop, (), {})] * 2)
    QueuedTasks.objects.update(state=State.BLOCKED, blocked_by="limit:x")
    with locked(first):
        assert lifecycle.unblock("limit:x", 1, None) == 1
        assert QueuedTasks.objects.get(state=State.READY) == second
        assert lifecycle.unblock("limit:x", 1, None) == 0
    assert lifecycle.unblock("limit:x", 1, None) == 1


def test_a_server_goes_on_beside_them(start_server: StartServer) -> None:
    start_server()
    first, second = using(run_after=timedelta(seconds=1)).push_many([(noop, (), {})] * 2)
    with locked(first):
        second.wait(60)
        push_task_to_queue(noop).wait(60)
        first.refresh_from_db()
        assert first.state == State.DEFERRED
    first.wait(60)
