"""Real databases, each of its own, that a test may stop, cut off and take away."""

from pathlib import Path

from tests.faults.kinds import Database, SQLite
from tests.faults.servers import NAME, MariaDB, PostgreSQL, Server, connected, drop_connections

__all__ = ["DATABASES", "NAME", "Database", "Server", "connected", "create", "drop_connections"]

DATABASES: dict[str, type[Database]] = {
    "sqlite": SQLite,
    "postgresql": PostgreSQL,
    "mysql": MariaDB,
}


def create(vendor: str, folder: Path) -> Database:
    """Return a database of this vendor, in Django's words, to be started."""
    return DATABASES[vendor](folder)
