"""Work that only one process at a time may do in a database."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from django.db import connections

_PLACE_OF_SQLITE = "SELECT file FROM pragma_database_list WHERE name = 'main'"
_NUMBERS = "(1818584427, hashtext(%s))"  # "leek", beside which other programs have their own locks
_NAME = "MD5(CONCAT('leek ', DATABASE(), %s))"
_LOCK_AND_UNLOCK = {
    "postgresql": (
        f"pg_try_advisory_lock{_NUMBERS}",
        f"pg_advisory_unlock{_NUMBERS}",
    ),
    "mysql": (f"GET_LOCK({_NAME}, 0)", f"RELEASE_LOCK({_NAME})"),
}


@contextmanager
def alone_at(alias: str, work: str) -> Iterator[bool]:
    """Yield whether nobody else does this work in the database; then nobody can begin it either.

    The right to do it ends with the process, however that ends.
    """
    connection = connections[alias]
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(_PLACE_OF_SQLITE)
            (place,) = cursor.fetchone()
        with _locked_folder(Path(place).parent) as is_locked:
            yield is_locked
        return
    lock, unlock = _LOCK_AND_UNLOCK[connection.vendor]
    own: Any = connection.copy()  # a lock is its connection's, which must not be made anew
    with closing(own), own.cursor() as cursor:
        cursor.execute(f"SELECT {lock}", [work])
        is_locked = bool(cursor.fetchone()[0])
        try:
            yield is_locked
        finally:
            if is_locked:
                cursor.execute(f"SELECT {unlock}", [work])


@contextmanager
def _locked_folder(folder: Path) -> Iterator[bool]:
    """Lock the folder of a database: to close the file itself would undo SQLite's own locks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)
