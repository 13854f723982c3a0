"""Shows again and again how something is: redrawn in place on a terminal, else as blocks of lines.

A stop that is asked for, by Ctrl-C or SIGTERM, and a reader that is gone, end it without a word.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from django.core.management.base import OutputWrapper

from leek.management.screens import Screen

Lines = Callable[[], list[str]]


def watch_lines(stream: OutputWrapper, lines: Lines, interval: float) -> None:
    """Show lines every so many seconds, on a terminal in place, cut to its size."""
    with _until_stopped(stream):
        if stream.isatty() and os.environ.get("TERM") != "dumb":
            _watch_on_screen(Screen(stream), lines, interval)
        else:
            _watch_in_blocks(stream, lines, interval)


def watch_documents(stream: OutputWrapper, document: Callable[[], str], interval: float) -> None:
    """Write a document of one line every so many seconds."""
    with _until_stopped(stream):
        while True:
            _write(stream, document())
            time.sleep(interval)


def _watch_on_screen(screen: Screen, lines: Lines, interval: float) -> None:
    with _resizes() as resized, screen.taken():
        while True:
            shown = lines()
            screen.draw(shown)
            until = time.monotonic() + interval
            while (left := until - time.monotonic()) > 0:
                if resized(left):
                    screen.draw(shown)


def _watch_in_blocks(stream: OutputWrapper, lines: Lines, interval: float) -> None:
    separator = ""
    while True:
        _write(stream, separator + "\n".join(lines()))
        separator = "\n"
        time.sleep(interval)


def _write(stream: OutputWrapper, text: str) -> None:
    stream.write(text)
    stream.flush()


@contextmanager
def _until_stopped(stream: OutputWrapper) -> Iterator[None]:
    """End the block where a stop is asked for, or nobody reads any more."""
    former = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)  # what is left is flushed when Python ends
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    finally:
        signal.signal(signal.SIGTERM, former)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _resizes() -> Iterator[Callable[[float], bool]]:
    """Give a function that waits for so many seconds, or until the terminal has another size."""
    ours, waker = socket.socketpair()
    with ours, waker:
        ours.setblocking(False)
        waker.setblocking(False)
        former_fd = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        former = signal.signal(signal.SIGWINCH, lambda number, frame: None)

        def wait(seconds: float) -> bool:
            is_resized, _, _ = select.select([ours], [], [], seconds)
            return bool(is_resized and ours.recv(4096))

        try:
            yield wait
        finally:
            signal.signal(signal.SIGWINCH, former)
            signal.set_wakeup_fd(former_fd)
