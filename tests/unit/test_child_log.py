"""What a child process logs, as its server reads it afterwards."""

import mmap
import os
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from leek.attempt_log import LONGEST_MESSAGE, LONGEST_NAME
from leek.outcome import Claimed, Line, Logged
from leek.server.child_log import ChildLog, new_file
from tests.support import ROOT

NOW = datetime(2026, 11, 29, tzinfo=UTC)
TIME = NOW.isoformat(timespec="microseconds")
CHILD = """
import os, signal, sys
from leek.server.child_log import ChildLog
from tests.unit.test_child_log import claimed, line
log = ChildLog(int(sys.argv[1]), 2)
for number in range(3):
    log.keep(claimed(), number, line(str(number)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def claimed(task: int = 4711, claim: int = 1) -> Claimed:
    return Claimed(task, "shop.tasks.send", "", 0, 0, 0, None, False, 0.0, NOW, 3, claim)


def line(message: str, name: str = "shop") -> Line:
    return TIME, "INFO", name, message


def new_log(lines: int) -> ChildLog:
    with new_file(lines) as descriptor:
        return ChildLog(descriptor, lines)


def test_lines_outlive_the_process_that_logged_them() -> None:
    with new_file(2) as descriptor:
        log = ChildLog(descriptor, 2)
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", CHILD, str(descriptor)]
        child = subprocess.run(command, env=environment, pass_fds=[descriptor], check=False)
    assert child.returncode == -signal.SIGKILL
    assert log.logged_by(claimed()) == Logged((line("1"), line("2")), 1)


def test_only_what_this_attempt_has_logged_is_returned() -> None:
    log = new_log(3)
    for number in range(3):
        log.keep(claimed(), number, line("former"))
    assert log.logged_by(claimed(claim=2)) is None
    log.keep(claimed(claim=2), 0, line("present"))
    log.keep(claimed(), 3, line("late"))
    log.keep(claimed(claim=2), 1, line("present as well"))
    lines = (line("present as well"),)
    assert log.logged_by(claimed(claim=2)) == Logged(lines, 1)
    assert log.logged_by(claimed(task=4712, claim=2)) is None


def test_a_line_of_any_length_fits() -> None:
    longest = line("\U0001f600" * LONGEST_MESSAGE, name="\U0001f600" * LONGEST_NAME)
    log = new_log(2)
    for number in range(2):
        log.keep(claimed(), number, longest)
    assert log.logged_by(claimed()) == Logged((longest, longest), 0)


def test_a_line_that_was_begun_and_not_ended_is_left_out() -> None:
    log = new_log(2)
    for number in range(2):
        log.keep(claimed(), number, line(str(number)))
    with pytest.raises(IndexError):  # what breaks off here is the mapping, not the process
        log.keep(claimed(), 3, line("x" * 10_000))
    assert log.logged_by(claimed()) == Logged((line("0"),), 0)


@pytest.mark.parametrize("damage", [b"\xff", b"\0"], ids=["no text", "other parts"])
def test_a_line_that_was_damaged_is_left_out(damage: bytes) -> None:
    with new_file(2) as descriptor:
        log, memory = ChildLog(descriptor, 2), mmap.mmap(descriptor, 0)
    for number, message in enumerate(["first", "second"]):
        log.keep(claimed(), number, line(message))
    memory[memory.find(b"first")] = damage[0]
    assert log.logged_by(claimed()) == Logged((line("second"),), 1)


@pytest.mark.parametrize("lines", [0, 3])
def test_where_there_is_no_room_for_a_file_there_is_nothing_to_read(
    lines: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with new_file(lines) as descriptor:
        assert descriptor == -1
        assert ChildLog(descriptor, lines).logged_by(claimed()) is None
