"""The notes of what is being run, as the next server on the host reads them."""

import mmap
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

import pytest

from leek.server.notes import RunningNotes, remove_notes, was_running
from tests.support import ROOT

SERVER = """
import sys
from uuid import UUID
from leek.server.notes import RunningNotes
notes = RunningNotes(UUID(sys.argv[1]), places=3)
for worker, task in enumerate([4711, 4712, 4713]):
    notes.note(worker, task)
notes.note(1, 0)
print(*sorted(notes.running()), flush=True)
sys.stdin.read()
"""


def test_notes_tell_what_a_process_was_running_when_it_died() -> None:
    boot = uuid4()
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(boot)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with server:
        assert server.stdout
        assert server.stdout.readline() == b"4711 4713\n"
        assert was_running(boot) == set()  # it lives: nothing has crashed
        server.kill()
    assert was_running(boot) == {4711, 4713}


def test_a_child_is_charged_with_the_end_of_its_server_only_if_nobody_else_can_be() -> None:
    boot = uuid4()
    notes = RunningNotes(boot, places=2)
    notes.note(0, 4711, in_child=True)
    assert was_running(boot) == {4711}
    notes.note(1, 4712)
    assert was_running(boot) == {4712}
    assert notes.running() == {4711, 4712}


def test_nothing_was_running_is_not_the_same_as_nobody_knows() -> None:
    boot = uuid4()
    RunningNotes(boot, places=2)
    assert was_running(boot) == set()
    remove_notes(boot)
    assert was_running(boot) is None
    assert was_running(uuid4()) is None


def test_a_stop_that_gives_all_back_leaves_nothing_to_charge() -> None:
    boot = uuid4()
    notes = RunningNotes(boot, places=2)
    notes.note(0, 4711)
    notes.note(1, 4712)
    notes.keep([4712])  # whose crash is not stored yet
    assert was_running(boot) == {4712}
    notes.keep([])
    assert was_running(boot) == set()


def test_where_no_file_can_be_made_nobody_knows() -> None:
    boot = uuid4()
    RunningNotes(boot, places=1)
    folder = next(Path(tempfile.gettempdir()).glob("leek-*"))
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.touch()
    notes = RunningNotes(other := uuid4(), places=1)
    notes.note(0, 4711)
    assert notes.running() == {4711}
    assert was_running(other) is None


def test_a_file_that_cannot_be_mapped_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    map_memory = mmap.mmap

    def refuse_files(descriptor: int, size: int) -> mmap.mmap:
        if descriptor >= 0:
            raise OSError("no")
        return map_memory(descriptor, size)

    monkeypatch.setattr("leek.server.notes.mmap.mmap", refuse_files)
    RunningNotes(boot := uuid4(), places=1).note(0, 4711)
    assert was_running(boot) is None
