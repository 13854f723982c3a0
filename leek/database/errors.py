"""Which errors of a database pass by themselves."""

from django.db import Error, InterfaceError, InternalError, OperationalError

# What is of a kind that passes by itself, and yet refuses a statement for ever:
# https://mariadb.com/kb/en/mariadb-error-codes/: a packet too large, a text that has no place in
# the column's character set. https://www.postgresql.org/docs/current/errcodes-appendix.html: class
# 54, a limit exceeded; 25P02, a transaction that goes on after an error.
_REFUSALS_OF_MYSQL = (1153, 1366)
_REFUSALS_OF_POSTGRESQL = ("54", "25P02")


def is_transient(error: Error) -> bool:
    """Tell whether the same statement may succeed later.

    So it may after what a database raises for a time: locked, gone away, read-only, deadlock.
    """
    if not isinstance(error, OperationalError | InterfaceError | InternalError):
        return False
    cause = error.__cause__
    number = error.args[0] if error.args else None
    sqlstate = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or ""
    return number not in _REFUSALS_OF_MYSQL and not sqlstate.startswith(_REFUSALS_OF_POSTGRESQL)
