"""What a task logs in one attempt: the latest lines of it, for people to look at.

It is collected where records are made, so that handlers, `propagate` and what else `LOGGING` says
neither matter nor change. What a logger's level lets through is collected, and nothing more.
"""

import logging
import threading
import traceback
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime

from leek.exceptions import TaskTimeout
from leek.outcome import Line, Logged

LONGEST_MESSAGE, LONGEST_ERROR, LONGEST_NAME = 1_000, 300, 255  # characters
LONGEST_LINE = len("2026-11-29T01:02:03.000004+00:00") + 2 * LONGEST_NAME + LONGEST_MESSAGE
LEFT_OUT = {"leek", "django.tasks", "django_tasks", None}  # tell of tasks; None: from elsewhere

_collector: ContextVar["AttemptLog | None"] = ContextVar("leek_attempt_log", default=None)


class AttemptLog:
    """Takes log records, from any thread, and keeps the latest `limit` of them as text.

    `on_line` is told of each, with its number from 0.
    """

    __slots__ = ("_limit", "_lines", "_lock", "_number", "_on_line")

    def __init__(self, limit: int, on_line: Callable[[int, Line], None] | None = None) -> None:
        self._limit = limit
        self._on_line = on_line
        self._lines: deque[Line] = deque(maxlen=limit)
        self._number = 0
        self._lock = threading.RLock()  # a signal's handler may log while a line is added

    def collect(self) -> None:
        """Take what is logged from now on in the context that is current."""
        _collector.set(self if self._limit else None)

    def add(self, record: logging.LogRecord) -> None:
        """Keep a record as it is now: its arguments may change, or be large."""
        line = _line(record)
        with self._lock:
            number, self._number = self._number, self._number + 1
            self._lines.append(line)
            if self._on_line:
                self._on_line(number, line)

    @property
    def logged(self) -> Logged | None:
        """What was logged until now; None if nothing was."""
        if not self._number:
            return None
        with self._lock:
            return Logged(tuple(self._lines), self._number - len(self._lines))


def collect(record: logging.LogRecord) -> None:
    """Keep a new record, if it is made in a task's code."""
    if (log := _collector.get()) is not None and record.name not in LEFT_OUT:
        log.add(record)


def _line(record: logging.LogRecord) -> Line:
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
    level, name = (_storable(text[:LONGEST_NAME]) for text in (record.levelname, record.name))
    return when, level, name, _storable(_message(record))


def _message(record: logging.LogRecord) -> str:
    """Return the message; of an exception its type and text follow, and no traceback."""
    try:
        message = record.getMessage()
    except TaskTimeout:  # the task's own, which it just meets here
        raise
    except Exception:  # noqa: BLE001 (arguments that do not fit, or whose own code raises)
        message = str(record.msg)
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return _cut(message, LONGEST_MESSAGE)
    summary = _cut("".join(traceback.format_exception_only(error)).strip(), LONGEST_ERROR)
    return f"{_cut(message, LONGEST_MESSAGE - len(summary) - 1)}\n{summary}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _storable(text: str) -> str:
    """Return text without what databases refuse: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
