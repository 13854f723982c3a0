"""What an SQLite database is set up for."""

import re
from pathlib import Path

from django.db import connections

_SETS_WAL = re.compile(r"journal_mode\s*[=(]\s*['\"]?wal\b", re.IGNORECASE)


def sqlite_shortcomings(alias: str) -> list[str]:
    """Return what an SQLite database lacks to be written by several processes; else nothing.

    The journal mode is a property of the file: it is read off the file's header (byte 18, as
    https://sqlite.org/fileformat.html has it), not by opening a connection.
    """
    connection = connections[alias]
    if connection.vendor != "sqlite" or connection.is_in_memory_db():  # type: ignore[attr-defined]
        return []
    options = connection.settings_dict["OPTIONS"]
    lacking = []
    if not _SETS_WAL.search(str(options.get("init_command", ""))) and not _is_wal(
        Path(connection.settings_dict["NAME"])
    ):
        lacking.append("WAL")
    if str(options.get("transaction_mode", "")).upper() not in ("IMMEDIATE", "EXCLUSIVE"):
        lacking.append("immediate transactions")
    return lacking


def _is_wal(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(19)[18:] == b"\x02"
    except OSError:
        return False
