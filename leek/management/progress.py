"""A progress bar for long work: on a terminal only."""

import shutil
from collections.abc import Callable, Iterable, Iterator

from django.core.management.base import OutputWrapper


class Progress:
    """Draws how much of `count()` is done, in place; nothing at all in a pipe."""

    def __init__(self, stream: OutputWrapper, count: Callable[[], int]) -> None:
        self._stream = stream
        self._total = count() if stream.isatty() else None
        self._done = 0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        if self._total and self._done:
            self._stream.write("")

    def add(self, step: int) -> None:
        """Note that so many more things are done."""
        self._done += step
        if self._total:
            self._draw(self._done, self._total)

    def track(self, steps: Iterable[int]) -> Iterator[int]:
        """Pass on the steps, each a number of things done."""
        with self:
            for step in steps:
                self.add(step)
                yield step

    def _draw(self, done: int, total: int) -> None:
        width = max(shutil.get_terminal_size().columns - 30, 10)
        filled = min(width * done // total, width)
        bar = "#" * filled + "." * (width - filled)
        self._stream.write(f"\r[{bar}] {done}/{total}", style_func=str, ending="")
        self._stream.flush()
