"""Services that tasks require: how it is checked whether they work."""

import socket
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

from django import db
from django.core.cache import caches
from django.db import connections

from leek.exceptions import LeekError
from leek.mailers import sending_backend
from leek.task import find

CHECK_TIMEOUT = 5.0  # seconds for a service to answer

# What clients of services call their own errors, which need not be OSErrors.
_NAMES = {"ConnectionError", "ConnectionFailed", "ConnectTimeout", "TimeoutError"}


class ServiceDown(LeekError):
    """A check returned False."""


def is_of_connection(error: BaseException | None) -> bool:
    """Tell whether an error, or what it came from, may be due to a service that is down."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError | EOFError | db.OperationalError | db.InterfaceError):
            return True
        if any(kind.__name__ in _NAMES for kind in type(error).__mro__):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def check(service: str) -> None:
    """Return if a service works; else raise, whatever tells best why not.

    It is named as `leek.policy` has it: built in, or the dotted path of a function without
    arguments that raises or returns False.
    """
    kind, _, rest = service.partition(":")
    if kind in _CHECKS:
        _CHECKS[kind](rest)
    elif find(service)() is False:
        raise ServiceDown(f"{service} returned False")


def _check_smtp(mailer: str) -> None:
    """Open the mail backend that sends, which for SMTP greets the server and logs in."""
    backend: Any = sending_backend(mailer or None)
    if getattr(backend, "timeout", 0) is None:
        backend.timeout = CHECK_TIMEOUT
    try:
        backend.open()
    finally:
        with suppress(Exception):  # what is broken may also fail to close
            backend.close()


def _check_database(alias: str) -> None:
    """Ask a database for a row, over a connection of its own."""
    own: Any = connections[alias].copy()
    with closing(own), own.cursor() as cursor:
        cursor.execute("SELECT 1")


def _check_cache(alias: str) -> None:
    """Write a value to a cache and read it."""
    caches[alias].set("leek.check", "works", CHECK_TIMEOUT)
    if caches[alias].get("leek.check") != "works":
        raise ServiceDown(f'the cache "{alias}" does not keep what is written to it')


def _check_tcp(place: str) -> None:
    """Connect to a port."""
    host, _, port = place.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), CHECK_TIMEOUT).close()


_CHECKS: dict[str, Callable[[str], None]] = {
    "smtp": _check_smtp,
    "database": _check_database,
    "cache": _check_cache,
    "tcp": _check_tcp,
}
