"""What there is to know of a connection to a database."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from django.db import connections

# How long a connection may take to be made. https://www.postgresql.org/docs/current/libpq-connect.html:
# milliseconds in which the other host's system has to answer. mysqlclient has only a limit for the
# server's own answers, in seconds, which may be slow to come.
_PATIENCE: dict[str, dict[str, int]] = {
    "postgresql": {"tcp_user_timeout": 2000},
    "mysql": {"connect_timeout": 10},
}

# How many prepared statements a connection keeps. sqlite3 keeps 128, and a server's are long, and
# many: a batch of another size is another statement.
_THRIFT = {"sqlite": {"cached_statements": 8}}


def has_table(alias: str, name: str) -> bool:
    """Tell whether a database has such a table."""
    return name in connections[alias].introspection.table_names()


def impatient_connections(alias: str) -> AbstractContextManager[None]:
    """Have new connections give up a host that does not answer, where the site sets no limit.

    The system goes on for two minutes, asks ever more seldom, and so finds out late that the host
    is there. Nothing is changed for connections that come out of a pool, because they stay.
    """
    has_pool = "pool" in connections[alias].settings_dict["OPTIONS"]
    return with_defaults(alias, {} if has_pool else _PATIENCE)


def thrifty_connections(alias: str) -> AbstractContextManager[None]:
    """Have new connections keep few statements in memory, where the site does not say how many."""
    return with_defaults(alias, _THRIFT)


@contextmanager
def with_defaults(alias: str, defaults: dict[str, dict[str, int]]) -> Iterator[None]:
    """Add options for new connections, by vendor, where the site does not set them."""
    connection = connections[alias]
    options = connection.settings_dict["OPTIONS"]
    limits = defaults.get(connection.vendor, {})
    added = {name: limit for name, limit in limits.items() if name not in options}
    options.update(added)
    try:
        yield
    finally:
        for name in added:
            del options[name]


def is_connected(alias: str) -> bool:
    """Tell whether this thread has a connection to a database, be it broken."""
    return connections[alias].connection is not None
