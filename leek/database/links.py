"""The links to databases: how soon both ends notice that the other one is gone without a word."""

import os
import socket
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import chain
from math import ceil
from typing import Any

from django.db import Error, connections
from django.db.backends.signals import connection_created

from leek.database.connecting import with_defaults
from leek.links import give_up_when_dead, waits

LEAST = 1.0  # seconds, however short a lease is

_threads = threading.local()


@contextmanager
def watched_links(lease: float) -> Iterator[None]:
    """Have each new connection of this process found broken within a lease where its link is dead.

    This process gives up after half a lease, so that there is time to renew it by another
    connection; the database's host after a whole one, and then it undoes what was begun. What a
    site sets in OPTIONS, or in the database, is left as it is.
    """
    lease = max(lease, 2 * LEAST)
    options = {alias: connections.settings[alias]["OPTIONS"] for alias in connections}
    chosen = {alias: frozenset(names) for alias, names in options.items()}
    watch = partial(_watch, chosen=chosen, lease=lease)
    connection_created.connect(watch, weak=False)
    try:
        with ExitStack() as defaults:
            for alias in options:
                if options[alias].get("pool"):  # which tries connections before anybody has them
                    defaults.enter_context(with_defaults(alias, {"postgresql": waits(lease / 2)}))
            yield
    finally:
        connection_created.disconnect(watch)


def have_brief_transactions() -> None:
    """Let the database end a transaction of this thread that rests: leek's own never do."""
    _threads.are_brief = True


def _watch(connection: Any, chosen: Mapping[str, Collection[str]], lease: float, **_: Any) -> None:
    with suppress(OSError, Error):  # what cannot be set is no reason not to connect
        with _socket_of(connection) as link:
            if link.family not in (socket.AF_INET, socket.AF_INET6):
                return
            give_up_when_dead(link, lease / 2, but_for=chosen.get(connection.alias, ()))
        _watch_there(connection, lease)


def _socket_of(connection: Any) -> socket.socket:
    """Return the socket of a connection, to be closed; raise OSError where there is none."""
    descriptor = getattr(connection.connection, "fileno", None)
    if descriptor is None:
        raise OSError("no connection by a socket")
    return socket.socket(fileno=os.dup(descriptor()))


def _watch_there(connection: Any, seconds: float) -> None:
    """Have the database's host give up, too, where the database has a way to say so."""
    if connection.vendor == "postgresql" and connection.get_autocommit():
        values = [
            (f"tcp_{name.removeprefix('tcp_')}", str(value))
            for name, value in waits(seconds).items()
        ]
        markers = ", ".join(["(%s, %s)"] * len(values))
        _execute(
            connection,
            "SELECT set_config(name, wanted, false) FROM pg_settings"  # noqa: S608 (markers only)
            f" JOIN (VALUES {markers}) AS chosen (name, wanted) USING (name)"
            " WHERE source = 'default'",
            [*chain.from_iterable(values)],
        )
    elif getattr(connection, "mysql_is_mariadb", False) and getattr(_threads, "are_brief", False):
        _execute(
            connection,
            "SET SESSION idle_transaction_timeout = IF(@@idle_transaction_timeout = 0, %s,"
            " @@idle_transaction_timeout)",
            [ceil(seconds)],
        )


def _execute(connection: Any, sql: str, parameters: Sequence[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
