"""Waiting for the end of a task: the server tells of it, and the row is looked at all the same."""

import asyncio
import socket
import time
from contextlib import closing
from io import BytesIO

from asgiref.sync import sync_to_async

from leek.conf import config
from leek.exceptions import ProtocolError
from leek.hinting import connect_for_a_while
from leek.models import QueuedTasks
from leek.protocol import MAX_LINE, WAITING, about_task, encode_word, read_reply

FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.1  # seconds between two looks at the row
ASK_AGAIN = 1.0  # seconds from a question to the next one, whatever became of the first

_COLUMNS = ["state", "tries", "crashes"]


def wait(row: QueuedTasks, timeout: float | None) -> None:
    """Wait until a task is finished; raise TimeoutError after so many seconds."""
    with closing(Watch(row, timeout)) as watch:
        while not row.is_finished:
            watch.rest()
            row.refresh_from_db(fields=_COLUMNS)


async def wait_in_loop(row: QueuedTasks, timeout: float | None) -> None:
    """Do as `wait`, in the running event loop."""
    with closing(Watch(row, timeout)) as watch:
        while not row.is_finished:
            await watch.rest_in_loop()
            await row.arefresh_from_db(fields=_COLUMNS)


class Watch:
    """The pauses between looks at a row: they end early when the server says that it is time.

    Where no server does, because another one runs the task, or for whatever reason, they are just
    pauses, so that this costs no more than a moment.
    """

    def __init__(self, row: QueuedTasks, timeout: float | None) -> None:
        self._row = row
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._line: Line | None = None
        self._ask_at = 0.0
        self._pause = FIRST_PAUSE

    def rest(self) -> None:
        """Wait until it is time for a look; raise TimeoutError if there is no time left."""
        if self._is_time_to_ask():
            self._ask(connect_for_a_while(self._patience()))
        if self._line is None:
            time.sleep(self._next_pause())
        elif not self._line.hear(self._next_pause()):
            self.close()

    async def rest_in_loop(self) -> None:
        """Do as `rest`, in the running event loop."""
        if self._is_time_to_ask():
            connect = sync_to_async(connect_for_a_while, thread_sensitive=False)
            self._ask(await connect(self._patience()))
        if self._line is None:
            await asyncio.sleep(self._next_pause())
        elif not await self._line.hear_in_loop(self._next_pause()):
            self.close()

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._line:
            self._line.close()
            self._line = None

    def _left(self) -> float:
        if self._deadline is None:
            return float("inf")
        if (left := self._deadline - time.monotonic()) <= 0:
            row = self._row
            raise TimeoutError(f"task {row.pk} ({row.name}) was not finished in {self._timeout} s")
        return left

    def _patience(self) -> float:
        return min(config.HINT_TIMEOUT, self._left())

    def _next_pause(self) -> float:
        pause = self._pause
        self._pause = min(2 * pause, LONGEST_PAUSE)
        if self._line and self._line.is_registered:
            pause = LONGEST_PAUSE
        return min(pause, self._left())

    def _is_time_to_ask(self) -> bool:
        if self._line or time.monotonic() < self._ask_at:
            return False
        self._ask_at = time.monotonic() + ASK_AGAIN
        return True

    def _ask(self, connection: socket.socket | None) -> None:
        if connection:
            self._line = Line(connection)
            if not self._line.ask(self._row.pk):
                self.close()


class Line:
    """A connection over which the server tells that a task is finished.

    The server first says that it will. That is all that may be said: whatever else comes, be it
    the end of the task, is the end of the line.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.is_registered = False
        self._connection = connection
        self._received = b""

    def ask(self, task_id: int) -> bool:
        """Say which task is meant; return whether that could be said."""
        question = encode_word(about_task("wait", task_id))
        try:
            return self._connection.send(question) == len(question)
        except OSError:
            return False

    def hear(self, seconds: float) -> bool:
        """Wait for the next words, so long at most; return False at the end of the line."""
        deadline = time.monotonic() + seconds
        try:
            while not self._has_line:
                if (left := deadline - time.monotonic()) <= 0:
                    return True
                self._connection.settimeout(left)
                if not self._take(self._connection.recv(self._room)):
                    return False
        except TimeoutError:
            return True
        except OSError:
            return False
        return self._understand()

    async def hear_in_loop(self, seconds: float) -> bool:
        """Do as `hear`, in the running event loop."""
        receive = asyncio.get_running_loop().sock_recv
        try:
            async with asyncio.timeout(seconds):
                while not self._has_line:
                    if not self._take(await receive(self._connection, self._room)):
                        return False
        except TimeoutError:
            return True
        except OSError:
            return False
        return self._understand()

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    @property
    def _has_line(self) -> bool:
        return b"\n" in self._received

    @property
    def _room(self) -> int:
        return MAX_LINE - len(self._received)

    def _take(self, chunk: bytes) -> bool:
        """Add what was received; return False if a line will never be."""
        self._received += chunk
        return bool(chunk) and (self._has_line or self._room > 0)

    def _understand(self) -> bool:
        """Act on the next line; return False if it is the last."""
        line, end, self._received = self._received.partition(b"\n")
        try:
            is_first = not self.is_registered and read_reply(BytesIO(line + end)) == WAITING
        except ProtocolError:
            return False
        self.is_registered = is_first
        return is_first
