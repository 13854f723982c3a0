"""Settings of a server whose statements are counted in a file: its length is their number.

Its commits are counted likewise in another file, if one is named.
"""

import os
from collections.abc import Callable
from typing import Any

from django.db.backends.signals import connection_created

from tests.settings import *  # noqa: F403


def _opened(name: str) -> int:
    return os.open(os.environ.get(name, os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT)


_statements, _commits = _opened("TESTS_STATEMENTS"), _opened("TESTS_COMMITS")


def _count(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
    os.write(_statements, b".")
    connection = arguments[-1]["connection"]
    if not connection.in_atomic_block and not sql.startswith("SELECT"):
        os.write(_commits, b".")
    return execute(sql, *arguments)


def _counted(commit: Callable[[], None]) -> Callable[[], None]:
    def count_and_commit() -> None:
        os.write(_commits, b".")
        commit()

    return count_and_commit


def _watch(connection: Any, **kwargs: Any) -> None:
    if _count not in connection.execute_wrappers:
        connection.execute_wrappers.append(_count)
        connection._commit = _counted(connection._commit)


connection_created.connect(_watch)
