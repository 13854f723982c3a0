"""OS signals -> requests in the supervisor's mailbox; restores the old handlers."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def on_stop_signals(action: Callable[[str], None]) -> Iterator[None]:
    """Call `action` with the signal's name at each SIGTERM or SIGINT inside the block.

    It must be safe inside a signal handler. Outside the main thread there are no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        action(signal.Signals(number).name)

    old = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
