"""Turns an exception into text that can be stored, and shown to who has written the task."""

import os
import traceback
from pathlib import Path

from leek.outages import is_of_connection
from leek.outcome import ErrorReport

LONGEST_REPORT = 50_000  # characters of a message or a traceback that are kept

_PACKAGE = f"{Path(__file__).parent.parent}{os.sep}"


def report_of(error: BaseException) -> ErrorReport:
    """Return an exception as text that every database can store.

    The frames of leek itself are left out of the traceback.
    """
    kind = type(error)
    summary = traceback.TracebackException(kind, error, error.__traceback__, compact=True)
    frames = [frame for frame in summary.stack if not frame.filename.startswith(_PACKAGE)]
    summary.stack = traceback.StackSummary.from_list(frames)
    return ErrorReport(
        type=f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."),
        message=_storable(str(summary)),
        traceback=_storable("".join(summary.format())),
        is_of_connection=is_of_connection(error),
    )


def _storable(text: str) -> str:
    """Cut a text, and replace what PostgreSQL (NUL) or UTF-8 (lone surrogates) cannot hold."""
    text = text[:LONGEST_REPORT].replace("\x00", "\\x00")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
