"""OS signals -> an action of the supervisor; restores the old handlers."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def on_stop_signals(action: Callable[[], None], wakeup_fd: int) -> Iterator[None]:
    """Call `action` at each SIGTERM or SIGINT inside the block, and write a byte to `wakeup_fd`.

    The action must be safe inside a signal handler. Outside the main thread there are no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    process = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process:
            action()
        else:  # a child that a task has forked: it ends as it would without this server
            signal.signal(number, old[signal.Signals(number)])
            os.kill(os.getpid(), number)

    old = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    old_fd = signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(old_fd)
        for number, handler in old.items():
            signal.signal(number, handler)
