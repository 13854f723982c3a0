"""Real databases, each of its own, that a test may stop, cut off and take away."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import environ
import pytest
from django.db import connection

from tests.faults.hosts.host import Host
from tests.faults.kinds import Database, SQLite
from tests.faults.servers import NAME, MariaDB, PostgreSQL, Server, connected, drop_connections

__all__ = [
    "DATABASES",
    "NAME",
    "Database",
    "Server",
    "connected",
    "create",
    "drop_connections",
    "in_use",
]

DATABASES: dict[str, type[Database]] = {
    "sqlite": SQLite,
    "postgresql": PostgreSQL,
    "mysql": MariaDB,
}


def create(vendor: str, folder: Path, host: Host | None = None) -> Database:
    """Return a database of this vendor, in Django's words, to be started; on a host if it can be.

    SQLite's file is where the test is.
    """
    kind = DATABASES[vendor]
    return kind(folder, host) if issubclass(kind, Server) else kind(folder)


@contextmanager
def in_use(migrated: Path, folder: Path, host: Host | None = None) -> Iterator[Database]:
    """Have pushes and servers use a copy of a stopped database that has the site's tables."""
    subprocess.run(["cp", "-a", str(migrated), str(folder)], check=True)
    database = create(connection.vendor, folder, host)
    database.start()
    connection.close()
    place = environ.Env.db_url_config(database.url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", database.url)
        for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT"):
            patch.setitem(connection.settings_dict, key, place.get(key, ""))
        yield database
        connection.close()
    database.remove()
