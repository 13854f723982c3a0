"""Settings of a server whose statements are counted in a file: its length is their number."""

import os
from collections.abc import Callable
from typing import Any

from django.db.backends.signals import connection_created

from tests.settings import *  # noqa: F403

_file = os.open(os.environ["TESTS_STATEMENTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _count(execute: Callable[..., Any], *arguments: Any) -> Any:
    os.write(_file, b".")
    return execute(*arguments)


def _watch(connection: Any, **kwargs: Any) -> None:
    if _count not in connection.execute_wrappers:
        connection.execute_wrappers.append(_count)


connection_created.connect(_watch)
