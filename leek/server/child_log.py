"""What a task logs in its child process, where it outlives that process.

As with `leek.server.notes` the kernel keeps what was written to a mapped file when the process is
killed; so a line costs the task a memory write, and its server nothing until it wants to know.
"""

import mmap
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from leek.attempt_log import LONGEST_LINE
from leek.outcome import Claimed, Line, Logged

_SEPARATOR = "\0"  # no line holds one
_HEADER = struct.Struct("=qqqH")  # the task's id and its claim, the line's number and length
_PLACE = _HEADER.size + 4 * LONGEST_LINE + 3  # bytes, with what separates the parts of a line
_EMPTY = bytes(_HEADER.size)


@contextmanager
def new_file(lines: int) -> Iterator[int]:
    """Give a file without a name that holds so many lines, as a descriptor to be inherited.

    Where it cannot be made that is -1, and what is logged is lost with the process.
    """
    size, descriptor = _size(lines), -1
    with ExitStack() as stack:
        with suppress(OSError):
            file = stack.enter_context(tempfile.TemporaryFile(buffering=0))
            if file.write(bytes(size)) == size:  # with holes it would need room on the disk later
                descriptor = file.fileno()
        yield descriptor


class ChildLog:
    """The latest lines that a child process has logged, in a file that its server has mapped too.

    Each line has its place in turn, and tells whose it is: what an earlier task still logs in some
    thread of its own is not taken for that of the present one.
    """

    def __init__(self, descriptor: int, lines: int) -> None:
        self._lines = lines
        self._map = mmap.mmap(descriptor, _size(lines))

    def keep(self, claimed: Claimed, number: int, line: Line) -> None:
        """Write down the line with this number, from 0, of an attempt."""
        text = _SEPARATOR.join(line).encode()
        start = number % self._lines * _PLACE
        begin = start + _HEADER.size
        self._map[start:begin] = _EMPTY  # in the middle of this the process may be killed
        self._map[begin : begin + len(text)] = text
        _HEADER.pack_into(self._map, start, claimed.id, claimed.claim, number, len(text))

    def logged_by(self, claimed: Claimed) -> Logged | None:
        """Return what was logged in an attempt; None if nothing was."""
        found = sorted(self._numbered_lines(claimed))
        if not found:
            return None
        return Logged(tuple(line for _, line in found), found[-1][0] + 1 - len(found))

    def _numbered_lines(self, claimed: Claimed) -> Iterator[tuple[int, Line]]:
        for start in range(0, self._lines * _PLACE, _PLACE):
            task, claim, number, length = _HEADER.unpack_from(self._map, start)
            if (task, claim) == (claimed.id, claimed.claim):
                begin = start + _HEADER.size
                with suppress(ValueError):  # what has crashed may have written anything anywhere
                    parts = self._map[begin : begin + length].decode().split(_SEPARATOR)
                    time, level, name, message = parts
                    yield number, (time, level, name, message)


def _size(lines: int) -> int:
    return max(lines, 1) * _PLACE  # nothing cannot be mapped
