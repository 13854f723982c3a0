"""The database has trouble while tasks are pushed: the caller hears of it, nobody else does."""

import gc
import secrets
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from django.db import InternalError, OperationalError, connection

from leek.api import push_task_to_queue
from leek.models import QueuedTasks
from tests.faults.databases import Database
from tests.faults.troubles import Trouble, away, cut_off, full, locked, read_only, small_disk
from tests.site import tasks
from tests.support import wait_until

# Of the connections that `deleted_connections` deletes.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <sqlite3.Connection")

on_servers = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has no connections to lose"
)


@pytest.fixture(autouse=True)
def deleted_connections() -> Iterator[None]:
    """Delete the connections that Django left open, as it does when their init_command fails.

    Python 3.13 warns of each, whenever that happens: it must not be in another test.
    """
    yield
    gc.collect()


@pytest.fixture
def hints(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Return a socket that hints arrive at."""
    monkeypatch.setenv("LEEK_TASKS_HOST", "127.0.0.1")
    with socket.create_server(("127.0.0.1", port)) as listening:
        listening.setblocking(False)
        yield listening


def is_refused(hints: socket.socket, *args: object) -> None:
    """Push a task in vain: the database says why, and no hint is sent; then end the request."""
    with pytest.raises((OperationalError, InternalError)):
        push_task_to_queue(tasks.echo, *args)
    with pytest.raises(BlockingIOError):
        hints.accept()
    connection.close_if_unusable_or_obsolete()


def is_stored(hints: socket.socket) -> None:
    """Push a task as ever: it is the only one."""
    row = push_task_to_queue(tasks.echo)
    wait_until(lambda: has_hint(hints), "the hint")
    assert list(QueuedTasks.objects.all()) == [row]


def has_hint(hints: socket.socket) -> bool:
    """Tell whether a hint has arrived."""
    with suppress(BlockingIOError):
        hints.accept()[0].close()
        return True
    return False


@pytest.mark.parametrize(
    "trouble", [away, pytest.param(cut_off, marks=on_servers), locked, read_only]
)
def test_a_push_raises_the_databases_own_error_and_changes_nothing(
    database: Database, hints: socket.socket, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor == "sqlite":
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.1)
    with trouble(database):
        is_refused(hints)
    is_stored(hints)


def test_a_push_that_the_disk_has_no_room_for_raises_the_databases_own_error(
    database: Database, hints: socket.socket
) -> None:
    with small_disk(database) as folder:
        with full(database, folder):
            is_refused(hints, secrets.token_hex(1_000_000))
        is_stored(hints)
