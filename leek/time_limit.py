"""A limit to how long a task runs in its thread."""

import asyncio
import ctypes
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from leek.exceptions import TaskTimeout


class _Interruption:
    """Raises TaskTimeout in the thread that made it, unless it was ended before."""

    def __init__(self) -> None:
        self._thread = ctypes.c_ulong(threading.get_ident())
        self._lock = threading.Lock()
        self._ended = False

    def happen(self) -> None:
        """Have the thread raise as soon as it runs Python code."""
        with self._lock:
            if not self._ended:
                self._set(ctypes.py_object(TaskTimeout))

    def end(self) -> None:
        """Do not happen any more, and take back what was not raised yet."""
        with self._lock:
            self._ended = True
            self._set(None)

    def _set(self, error: Any) -> None:
        # https://docs.python.org/3/c-api/threads.html#c.PyThreadState_SetAsyncExc
        ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, error)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TaskTimeout inside the block when it has run for so many seconds.

    Python raises it between two instructions of its own, so code that waits in C (for a socket, a
    lock, in time.sleep) goes on until it returns.
    """
    interruption = _Interruption()
    timer = threading.Timer(seconds, interruption.happen)
    timer.name, timer.daemon = "leek-time-limit", True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        interruption.end()


async def run_limited(coroutine: Coroutine[Any, Any, Any], seconds: float | None) -> Any:
    """Return what a coroutine returns; cancel it after so many seconds, and raise TaskTimeout."""
    try:
        async with asyncio.timeout(seconds) as limit:
            return await coroutine
    except TimeoutError as error:
        if limit.expired() and seconds is not None:
            raise TaskTimeout(excess(seconds)) from error
        raise


def excess(seconds: float) -> str:
    """Return the words for a task that took too long."""
    return f"it ran longer than {seconds:g} s"
