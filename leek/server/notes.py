"""Notes of what is being run, in a small file that outlives the process.

After a crash the file tells which tasks were being run, so that only these are charged with it.
Where it cannot be read, on another host, nobody knows. The kernel keeps what was written to a
mapped file when the process is killed, so a note costs a memory write and no statement. As long as
the process lives it holds a lock on the file: one that was only frozen, and so lost its lease, has
not crashed.
"""

import fcntl
import mmap
import os
import struct
import tempfile
from collections.abc import Collection
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from uuid import UUID

_ENTRY = struct.Struct("=q")


def _path(boot: UUID) -> Path:
    return Path(tempfile.gettempdir()) / f"leek-{os.geteuid()}" / f"{boot}.running"


class RunningNotes:
    """An entry for each place in which a task can run: its id, negative in a child, 0 for none.

    A Worker is such a place, and so is each of the slots of the event loop.

    Where the file cannot be made, the notes are kept in memory only.
    """

    def __init__(self, boot: UUID, places: int) -> None:
        self._boot = boot
        size = places * _ENTRY.size
        try:
            self._map = _map_new_file(_path(boot), size)
        except OSError:
            self._map = mmap.mmap(-1, size)

    def note(self, place: int, task_id: int, *, in_child: bool = False) -> None:
        """Note what is about to run at a place; 0 when it has ended."""
        _ENTRY.pack_into(self._map, place * _ENTRY.size, -task_id if in_child else task_id)

    def running(self) -> set[int]:
        """Return the ids of the tasks that are being run."""
        return set(map(abs, _entries(self._map[:])))

    def keep(self, task_ids: Collection[int]) -> None:
        """Note that of what is being run these tasks have crashed, and the others are no more."""
        for place in range(len(self._map) // _ENTRY.size):
            if abs(_ENTRY.unpack_from(self._map, place * _ENTRY.size)[0]) not in task_ids:
                self.note(place, 0)

    def remove(self) -> None:
        """Delete the file, after an orderly stop."""
        remove_notes(self._boot)


def was_running(boot: UUID) -> Collection[int] | None:
    """Return the tasks that a server of this host died with.

    What ran in a child of the server, which dies with it, can only have caused that if nothing ran
    in the server itself. None where there are no notes to read: on another host, or where the
    temporary directory was emptied in the meantime.
    """
    path = _path(boot)
    try:
        if path.stat().st_uid != os.geteuid():
            return None
        with path.open("rb") as file:
            entries = [] if _is_locked(file) else _entries(file.read())
            return {task for task in entries if task > 0} or {-task for task in entries}
    except OSError:
        return None


def tell_of_death(boot: UUID) -> bool:
    """Tell whether there are notes of this host that nobody writes any more."""
    try:
        with _path(boot).open("rb") as file:
            return not _is_locked(file)
    except OSError:
        return False


def remove_notes(boot: UUID) -> None:
    """Delete the notes of a server, unless its process lives and goes on writing them."""
    path = _path(boot)
    with suppress(OSError), path.open("rb") as file:
        if not _is_locked(file):
            path.unlink()


def _map_new_file(path: Path, size: int) -> mmap.mmap:
    """Map a new file, and lock it as long as this process lives: its descriptor stays open."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.parent.stat().st_uid != os.geteuid():
        raise PermissionError(f"{path.parent} belongs to somebody else")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, bytes(size))  # a file with holes would need room on the disk later
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return mmap.mmap(descriptor, size)
    except OSError:
        os.close(descriptor)
        path.unlink()
        raise


def _is_locked(file: BufferedReader) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _entries(content: bytes) -> list[int]:
    whole = len(content) - len(content) % _ENTRY.size
    return [task_id for (task_id,) in _ENTRY.iter_unpack(content[:whole]) if task_id]
