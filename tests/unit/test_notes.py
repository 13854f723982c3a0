"""The notes of what is being run, as the next server on the host reads them."""

import tempfile
from pathlib import Path
from uuid import uuid4

from leek.server.notes import RunningNotes, remove_notes, was_running


def test_the_running_tasks_are_read_by_another_process() -> None:
    boot = uuid4()
    notes = RunningNotes(boot, workers=3)
    notes.note(0, 4711)
    notes.note(1, 4712)
    notes.note(2, 4713)
    notes.note(1, 0)
    assert was_running(boot) == notes.running() == {4711, 4713}


def test_nothing_was_running_is_not_the_same_as_nobody_knows() -> None:
    boot = uuid4()
    RunningNotes(boot, workers=2)
    assert was_running(boot) == set()
    remove_notes(boot)
    assert was_running(boot) is None
    assert was_running(uuid4()) is None


def test_a_stop_that_gives_all_back_leaves_nothing_to_charge() -> None:
    boot = uuid4()
    notes = RunningNotes(boot, workers=2)
    notes.note(1, 4711)
    notes.clear()
    assert was_running(boot) == set()


def test_where_no_file_can_be_made_nobody_knows() -> None:
    boot = uuid4()
    RunningNotes(boot, workers=1)
    folder = next(Path(tempfile.gettempdir()).glob("leek-*"))
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.touch()
    notes = RunningNotes(other := uuid4(), workers=1)
    notes.note(0, 4711)
    assert notes.running() == {4711}
    assert was_running(other) is None
