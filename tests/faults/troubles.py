"""What may be the matter with a database, for as long as a block lasts."""

import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pytest
from django.db import connection

from tests.faults.databases import NAME, Database, Server
from tests.support import GIVE_UP_AFTER

Trouble = Callable[[Database], AbstractContextManager[None]]

ROOM = 24_000_000  # bytes that are free on a small disk
TO_LOCK = {  # however long it takes to get the lock, be it longer than others care to wait
    "postgresql": ["SET lock_timeout = 0", "LOCK TABLE leek_queuedtasks"],
    "mysql": ["SET lock_wait_timeout = 3600", "LOCK TABLES leek_queuedtasks WRITE"],
}


@contextmanager
def away(database: Database) -> Iterator[None]:
    """Stop the database."""
    connection.close()
    database.stop()
    try:
        yield
    finally:
        database.start()


@contextmanager
def swallowed(database: Server) -> Iterator[None]:
    """Stop the database, and have its port answer nothing, like that of a host that is down."""
    with away(database), socket.socket() as deaf, ExitStack() as callers:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deaf.bind(("127.0.0.1", database.port))
        deaf.listen(0)
        for _ in range(4):  # more than it keeps for later: the system drops what comes then
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())
        yield


@contextmanager
def cut_off(database: Database) -> Iterator[None]:
    """Drop this process's connection, and everybody else's."""
    connection.ensure_connection()
    database.kill_connections()
    yield


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Keep everybody off the table of tasks, longer than they care to wait."""
    if isinstance(database, Server):
        wait = {
            "postgresql": [f"ALTER ROLE {NAME} SET lock_timeout = '200ms'"],
            "mysql": ["SET GLOBAL lock_wait_timeout = 1"],
        }
        list(map(database.execute, wait[connection.vendor]))
        database.kill_connections()  # these times are for new connections
        connection.close()
    with locked_table():
        yield


@contextmanager
def locked_table() -> Iterator[None]:
    """Keep everybody else off the table of tasks, as a migration may."""
    if connection.vendor == "sqlite":
        name = connection.settings_dict["NAME"]
        patient = sqlite3.connect(name, timeout=GIVE_UP_AFTER, isolation_level=None)
        with closing(patient) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
            other.execute("ROLLBACK")
        return
    other_connection = connection.copy()
    try:
        if connection.vendor == "postgresql":
            other_connection.set_autocommit(False)
        with other_connection.cursor() as cursor:
            for statement in TO_LOCK[connection.vendor]:
                cursor.execute(statement)
            yield
    finally:
        other_connection.close()


@contextmanager
def read_only(database: Database) -> Iterator[None]:
    """Let all connections that are made now read only, for as long as they last.

    So they do that lead to a primary which a replica has taken the place of. A file of SQLite,
    without a write-ahead log, refuses to be written to when it is no longer where it was opened.
    """
    if not isinstance(database, Server):
        with away(database) if uses_wal() else taken_away(database):
            yield
        return
    begin = {
        "postgresql": [f"ALTER DATABASE {NAME} SET default_transaction_read_only = on"],
        "mysql": ["SET GLOBAL read_only = 1", "SET GLOBAL tx_read_only = 1"],
    }
    end = {
        "postgresql": [f"ALTER DATABASE {NAME} RESET default_transaction_read_only"],
        "mysql": ["SET GLOBAL read_only = 0", "SET GLOBAL tx_read_only = 0"],
    }
    connection.close()
    list(map(database.execute, begin[connection.vendor]))
    database.kill_connections()
    yield
    list(map(database.execute, end[connection.vendor]))


@contextmanager
def taken_away(database: Database) -> Iterator[None]:
    """Stop the database while this process has it open."""
    connection.ensure_connection()
    database.stop()
    yield
    database.start()


def uses_wal() -> bool:
    """Tell whether the site has SQLite keep a write-ahead log."""
    return "WAL" in str(connection.settings_dict["OPTIONS"].get("init_command"))


@contextmanager
def small_disk(database: Database) -> Iterator[Path]:
    """Move the tables to a disk that has little room, and return its folder."""
    folder = database.tables
    connection.close()
    if isinstance(database, Server):
        database.stop()
    with _mounted(folder):
        if isinstance(database, Server):
            database.start()
        yield folder
        connection.close()
        if isinstance(database, Server):
            database.stop()


@contextmanager
def _mounted(folder: Path) -> Iterator[None]:
    files = folder.rename(folder.with_name("before"))
    folder.mkdir()
    used = sum(file.stat().st_size for file in files.rglob("*"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={used + ROOM}", "small", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        folder.rmdir()
        files.rename(folder)
        pytest.skip("only root can mount a small disk, and not in every container")
    try:
        subprocess.run(["cp", "-a", f"{files}/.", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def full(database: Database, folder: Path) -> Iterator[None]:
    """Fill the disk of a folder; a database that this kills is started when there is room again."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        _fill(file)
    yield
    filler.unlink()
    if isinstance(database, Server):
        connection.close()
        database.revive()


def _fill(file: BinaryIO) -> None:
    while True:
        file.write(bytes(4096))
