"""How Django's connections are kept healthy between tasks, and what hangs on their transactions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.core.cache import caches
from django.db import connections, transaction


def refresh_connections() -> None:
    """Make this thread's connections fit for the next task, as Django does between requests.

    They are not closed for their age: whatever CONN_MAX_AGE says, a connection is kept as long as
    it works. After an error it is tried, and replaced by the next query where it does not work.
    """
    for connection in connections.all(initialized_only=True):
        connection.queries_log.clear()
        connection.close_at = None
        if connection.in_atomic_block:  # a task left its transaction open
            connection.close()
            del connections[connection.alias]  # closed so, Django would never connect again
        else:
            _check_health(connection, connection.settings_dict["CONN_HEALTH_CHECKS"])
            connection.close_if_unusable_or_obsolete()


def distrust_connections() -> None:
    """Let the next query of this thread try its connection first: it has not been used for long."""
    for connection in connections.all(initialized_only=True):
        _check_health(connection, True)


def _check_health(connection: Any, enabled: bool) -> None:
    """Let Django try the connection at the next query, or leave that be."""
    connection.health_check_enabled = enabled
    connection.health_check_done = False


def close_connections() -> None:
    """Close this thread's connections."""
    connections.close_all()


def forget_closed_connections() -> None:
    """Forget this thread's connections that are closed, for whoever closes a pool with each."""
    for connection in connections.all(initialized_only=True):
        if connection.connection is None:
            del connections[connection.alias]


def keep_caches() -> None:
    """Have this thread's caches, for all its tasks to share.

    Django makes a cache where it is used first, and in a task's own context it would end with it.
    """
    for alias in caches:
        with suppress(Exception):  # one that cannot be made is no harm to who does not use it
            caches[alias]


def on_commit_once(alias: str, action: Callable[[], None]) -> None:
    """Run `action` when the current transaction commits, once however often this is called.

    Without a transaction it is run at once; where autocommit is off, and so nobody tells of the
    commit, not at all. A registration that is there already belongs to a savepoint that encloses
    this one, or to one that can no longer be rolled back.
    """
    connection = connections[alias]
    if not connection.in_atomic_block and not connection.get_autocommit():
        return
    registered = connection.run_on_commit
    if not any(entry[1] is action for entry in registered):
        transaction.on_commit(action, using=alias, robust=True)


@contextmanager
def mended_transaction(alias: str) -> Iterator[None]:
    """Undo what is done inside, if it leaves an open transaction that takes no more statements."""
    connection = connections[alias]
    savepoint = connection.savepoint() if connection.in_atomic_block else None
    yield
    if savepoint is None:
        return
    if connection.needs_rollback or not connection.is_usable():
        connection.set_rollback(False)
        connection.savepoint_rollback(savepoint)
    else:
        connection.savepoint_commit(savepoint)
