"""leek_status --watch: on a real terminal, in a pipe, and through an outage."""

import fcntl
import json
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from leek import lifecycle
from leek.api import push_task_to_queue, using
from leek.management.screens import cut
from leek.models import PausedQueues
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import GIVE_UP_AFTER, ROOT, environment, wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("port"),
    pytest.mark.any_version,
]

WATCH = [sys.executable, "-m", "django", "leek_status", "--watch", "0.1"]
TAKEN, GIVEN_BACK = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


class Terminal:
    """A terminal on which the queue is watched, and all that was written to it."""

    def __init__(self, columns: int, lines: int) -> None:
        self._own, other_end = pty.openpty()
        self.resize(columns, lines)
        place = shlex.quote(os.ttyname(other_end))
        self.process = subprocess.Popen(  # who opens it first in a new session is sent its signals
            ["sh", "-c", f"exec {shlex.join(WATCH)} <{place} >{place} 2>&1"],
            env=environment(TERM="xterm"),
            cwd=ROOT,
            start_new_session=True,
        )
        self._other_end: int | None = other_end
        self.written = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        try:
            while part := os.read(self._own, 65536):
                self.written += part.decode()
        except OSError:  # nobody writes any more
            pass

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self._own, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._own, key)

    @property
    def drawings(self) -> list[list[str]]:
        """All drawings that are complete, as lines."""
        return [
            re.sub(r"\x1b\[K|\r", "", drawing.partition(CLEAR_BELOW)[0]).split("\n")
            for drawing in self.written.split(HOME)[1:]
            if CLEAR_BELOW in drawing
        ]

    def shows(self, text: str) -> bool:
        """Tell whether a line of the latest drawing begins so."""
        return any(line.startswith(text) for line in (self.drawings or [[]])[-1])

    def end(self) -> int:
        """Wait for the end, and return the exit code."""
        code = self.process.wait(GIVE_UP_AFTER)
        if self._other_end is not None:  # until then nobody may have opened it
            os.close(self._other_end)
            self._other_end = None
        self._reader.join()
        return code

    def close(self) -> None:
        """Free everything."""
        self.process.kill()
        self.end()
        os.close(self._own)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Give a terminal of 60 columns and 40 lines on which the queue is watched."""
    terminal = Terminal(60, 40)
    try:
        yield terminal
    finally:
        terminal.close()


@pytest.mark.any_database
class TestOnATerminal:
    """It is redrawn in place."""

    def test_shows_what_changes_in_place(self, terminal: Terminal) -> None:
        wait_until(lambda: terminal.shows("Waiting: 0"), "the first drawing")
        push_task_to_queue(tasks.noop)
        wait_until(lambda: terminal.shows("Waiting: 1"), "the task")
        assert terminal.shows("Queue default: 1 waiting, the oldest for ")
        assert terminal.shows("Worker at localhost:")
        assert terminal.written.startswith(f"{TAKEN}{HOME}")
        assert "\x1b[2J" not in terminal.written  # which would flicker
        assert terminal.written.count(TAKEN) == 1

    def test_is_cut_to_the_terminal_as_it_is_resized(self, terminal: Terminal) -> None:
        wait_until(lambda: terminal.shows("Oldest waiting task: none"), "the first drawing")
        terminal.resize(12, 4)
        wait_until(lambda: terminal.shows("... and "), "the drawing that is cut")
        (date, oldest, waiting, more) = terminal.drawings[-1]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d", date)
        assert (oldest, waiting) == ("Oldest waiti", "Waiting: 0")
        assert re.fullmatch(r"\.\.\. and \d mo", more)
        terminal.resize(60, 40)
        wait_until(lambda: terminal.shows("Oldest waiting task: none"), "all of it again")

    @pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
    def test_gives_the_terminal_back(self, terminal: Terminal, how: str) -> None:
        wait_until(lambda: terminal.shows("Waiting: 0"), "the first drawing")
        if how == "Ctrl-C":
            terminal.press(b"\x03")
        else:
            terminal.process.terminate()
        assert terminal.end() == 0
        assert terminal.written.endswith(GIVEN_BACK)
        assert "Traceback" not in terminal.written

    def test_is_not_moved_by_what_names_contain(self, terminal: Terminal) -> None:
        using(queue="evil\x1b[2Jname").push(tasks.noop)
        wait_until(lambda: terminal.shows("Queue evil?[2Jname: 1"), "the queue")


@pytest.mark.parametrize(
    ("line", "width", "kept"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "abc"),
        ("郵便", 3, "郵"),
        ("郵便", 4, "郵便"),
        ("e\u0301f", 1, "e\u0301"),
    ],
)
def test_lines_are_cut_by_the_columns_that_they_take(line: str, width: int, kept: str) -> None:
    assert cut(line, width) == kept


def watching(*arguments: str, **extra: str) -> subprocess.Popen[str]:
    """Watch the queue through a pipe."""
    return subprocess.Popen(
        [*WATCH, *arguments],
        env=environment(**extra),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def block_from(process: subprocess.Popen[str]) -> list[str]:
    """Read a block of lines, up to the blank one."""
    assert process.stdout
    return [line.rstrip("\n") for line in iter(process.stdout.readline, "\n")]


def stop(process: subprocess.Popen[str]) -> None:
    """Stop it, and assert that it ends as asked, without a word."""
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=GIVE_UP_AFTER)
    assert (process.returncode, errors) == (0, "")


class TestInAPipe:
    """It is written block by block, or document by document."""

    @pytest.mark.any_database
    def test_has_blocks_with_the_time_and_no_codes(self) -> None:
        with watching() as process:
            first, second = block_from(process), block_from(process)
            stop(process)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00", first[0])
        assert first[1:3] == ["Oldest waiting task: none", "Waiting: 0"]
        assert second[1:] == first[1:]
        assert "\x1b" not in "".join(first)

    @pytest.mark.any_database
    def test_has_a_document_in_each_line(self, start_server: StartServer) -> None:
        start_server()
        with watching("--json") as process:
            assert process.stdout
            documents = [json.loads(process.stdout.readline()) for _ in range(2)]
            stop(process)
        for document in documents:
            assert document["version"] == 1
            assert (document["worker_on"], document["waiting"]) == (True, 0)
            assert document["count_up_to"] == 500_000
        assert documents[0]["time"] < documents[1]["time"]

    @pytest.mark.parametrize("arguments", [[], ["--json"]])
    def test_ends_without_a_word_if_nobody_reads(self, arguments: list[str]) -> None:
        with watching(*arguments) as process:
            assert process.stdout
            assert process.stderr
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == ""
            assert process.wait(GIVE_UP_AFTER) == 0

    @pytest.mark.any_database
    def test_survives_an_outage_of_the_server(self, start_server: StartServer) -> None:
        server = start_server()
        with watching() as process:
            wait_for_line(process, f"Worker at localhost:{server.port}: on")
            assert server.terminate() == 0
            wait_for_line(process, f"Worker at localhost:{server.port}: no server")
            stop(process)

    def test_survives_an_outage_of_the_database(self) -> None:
        with watching() as process:
            wait_for_line(process, "Waiting: 0")
            with outage():
                wait_for_line(process, "The database fails: ")
            wait_for_line(process, "Waiting: 0")
            stop(process)

    def test_has_documents_of_the_same_keys_in_an_outage(self) -> None:
        with ExitStack() as stack:
            stack.enter_context(outage())
            process = stack.enter_context(watching("--json"))
            assert process.stdout
            failing: dict[str, Any] = json.loads(process.stdout.readline())
            stop(process)
        with watching("--json") as process:
            assert process.stdout
            working = json.loads(process.stdout.readline())
            stop(process)
        assert failing["database_error"].startswith("The database fails: ")
        assert working["database_error"] is None
        assert list(failing) == list(working)
        assert (failing["waiting"], failing["worker_on"]) == (None, False)
        assert working["waiting"] == 0


@contextmanager
def outage() -> Iterator[None]:
    """Let a table be missing, so that what reads it fails."""
    table = connection.ops.quote_name(PausedQueues._meta.db_table)
    rename(table, "elsewhere")
    try:
        yield
    finally:
        rename("elsewhere", table)


def rename(table: str, name: str) -> None:
    """Give a table another name."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {name}")


def wait_for_line(process: subprocess.Popen[str], beginning: str) -> None:
    """Read until a line begins so."""
    assert process.stdout
    for line in process.stdout:
        if line.startswith(beginning):
            return
    raise AssertionError(f"it ended without a line {beginning}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--watch", "0"],
        ["--watch", "0.01"],
        ["--watch", "2d"],
        ["--watch", "nonsense"],
        ["--watch", "2", "ping"],
        ["--watch", "2", "4711"],
        ["--watch", "2", "--max-age", "60"],
        ["--watch", "--max-failed", "0"],
    ],
)
def test_what_cannot_be_watched_is_refused(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("leek_status", *arguments)


@pytest.mark.any_database
def test_the_text_says_which_queues_are_paused(terminal: Terminal) -> None:
    lifecycle.pause("mail")
    wait_until(lambda: terminal.shows("Queue mail: 0 waiting, paused since "), "the queue")
