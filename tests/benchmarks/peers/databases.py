"""What is laid out for one measurement alone: a folder, a database and a port."""

import os
import secrets
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.peers import redis
from tests.benchmarks.peers.catalogue import Variant
from tests.benchmarks.peers.peer import Place
from tests.support import OTHER_PORTS


@contextmanager
def place_for(variant: Variant, servers: dict[str, str]) -> Iterator[Place]:
    """Lay out a place, and take all of it away at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="leek-peers-", ignore_cleanup_errors=True) as directory,
        _database(variant.database, servers, directory) as url,
    ):
        name = variant.peer.name
        yield Place(name, variant.database, variant.tuned, url, directory, _free_port())


def _free_port() -> int:
    while True:
        port = secrets.choice(OTHER_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def _database(kind: str, servers: dict[str, str], directory: str) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{directory}/db.sqlite3"
        return
    server = servers[kind]
    if kind == "redis":
        with redis.empty_number(server) as url:
            yield url
        return
    name = f"leek_peers_{os.getpid()}_{secrets.token_hex(3)}"
    _tell(kind, server, f"CREATE DATABASE {name}")
    try:
        yield f"{server}/{name}"
    finally:
        forced = " WITH (FORCE)" if kind == "postgresql" else ""
        _tell(kind, server, f"DROP DATABASE {name}{forced}")


def version(kind: str, servers: dict[str, str]) -> str:
    """Return the name and version of a database."""
    if kind == "sqlite":
        return f"SQLite {sqlite3.sqlite_version}"
    if kind == "redis":
        return redis.version(servers[kind])
    said = _tell(kind, servers[kind], "SELECT version()")
    return said.split(" (")[0] if kind == "postgresql" else f"MariaDB {said.split('-')[0]}"


def _tell(kind: str, server: str, statement: str) -> str:
    """Have a database server do something, and return the first thing that it answers."""
    with closing(_connect(kind, server)) as connection:
        cursor = connection.cursor()
        cursor.execute(statement)
        return str(cursor.fetchone()[0]) if cursor.description else ""


def _connect(kind: str, server: str) -> Any:
    if kind == "postgresql":
        import psycopg

        return psycopg.connect(f"{server}/postgres", autocommit=True)
    import MySQLdb

    parts = urlsplit(server)
    return MySQLdb.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=parts.username or "root",
        password=parts.password or "",
    )
