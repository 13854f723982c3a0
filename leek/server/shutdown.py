"""OS signals -> an action of the supervisor; restores the old handlers if the process goes on."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_former: dict[signal.Signals, Any] = {}  # the handlers that were there before


@contextmanager
def on_stop_signals(
    action: Callable[[], None], wakeup_fd: int, *, ends_process: bool = False
) -> Iterator[None]:
    """Call `action` at each SIGTERM or SIGINT inside the block, and write a byte to `wakeup_fd`.

    The action must be safe inside a signal handler. Outside the main thread there are no signals.
    After the block they are what they were before; or, with `ends_process`, nothing: a process that
    ends as it was asked to does not end in another way because it is asked again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        action()

    for number in STOP_SIGNALS:
        _former[number] = signal.signal(number, handle)
    old_fd = signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(old_fd)
        if ends_process:
            _ignore()
        else:
            _restore()


def _ignore() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _restore() -> None:
    while _former:
        number, handler = _former.popitem()
        signal.signal(number, handler)


def _forget_in_child() -> None:
    """Have a child that a task forks end by a signal, as it would without this server."""
    if _former:
        signal.set_wakeup_fd(-1)
        _restore()


os.register_at_fork(after_in_child=_forget_in_child)
