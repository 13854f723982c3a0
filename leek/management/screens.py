"""A terminal on which lines are drawn in place."""

import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import OutputWrapper

USUAL_SIZE = os.terminal_size((80, 24))

OTHER_SCREEN, OWN_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


class Screen:
    """Draws lines on a terminal, each time in place of those before."""

    def __init__(self, stream: OutputWrapper) -> None:
        self._stream = stream

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take over the other screen of the terminal; afterwards all is as it was."""
        try:
            self._write(OTHER_SCREEN + HIDE_CURSOR)
            yield
        finally:
            self._write(SHOW_CURSOR + OWN_SCREEN)

    def draw(self, lines: list[str]) -> None:
        """Show these lines instead of those before, as far as they fit, in one write."""
        size = self._size()
        fitting = [f"{cut(line, size.columns)}{CLEAR_LINE}" for line in _fit(lines, size.lines)]
        self._write(HOME + "\r\n".join(fitting) + CLEAR_BELOW)

    def _size(self) -> os.terminal_size:
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except OSError:
            return USUAL_SIZE
        return size if size.columns and size.lines else USUAL_SIZE

    def _write(self, text: str) -> None:
        self._stream.write(text, style_func=str, ending="")
        self._stream.flush()


def _fit(lines: list[str], height: int) -> list[str]:
    if len(lines) <= height:
        return lines
    return [*lines[: height - 1], f"... and {len(lines) - height + 1} more lines"]


def cut(line: str, width: int) -> str:
    """Return as much of the beginning of a line as so many columns hold."""
    for place, character in enumerate(line):
        width -= _width(character)
        if width < 0:
            return line[:place]
    return line


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
