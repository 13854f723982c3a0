"""Notes of what each Worker runs, in a small file that outlives the process.

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
    """One entry for each Worker: the id of the task it runs, 0 for none.

    Where the file cannot be made, the notes are kept in memory only.
    """

    def __init__(self, boot: UUID, workers: int) -> None:
        self._boot = boot
        size = workers * _ENTRY.size
        try:
            self._map = mmap.mmap(_new_file(_path(boot), size), size)
        except OSError:
            self._map = mmap.mmap(-1, size)

    def note(self, worker: int, task_id: int) -> None:
        """Note what a Worker is about to run; 0 when it has ended."""
        _ENTRY.pack_into(self._map, worker * _ENTRY.size, task_id)

    def running(self) -> set[int]:
        """Return the ids of the tasks that are being run."""
        return _ids(self._map[:])

    def clear(self) -> None:
        """Note that nothing is run any more, whatever still runs."""
        self._map[:] = bytes(len(self._map))

    def remove(self) -> None:
        """Delete the file, after an orderly stop."""
        remove_notes(self._boot)


def was_running(boot: UUID) -> Collection[int] | None:
    """Return the tasks that a server of this host was running when it died.

    None where there are no notes to read: on another host, or where the temporary directory was
    emptied in the meantime.
    """
    path = _path(boot)
    try:
        if path.stat().st_uid != os.geteuid():
            return None
        with path.open("rb") as file:
            return set() if _is_locked(file) else _ids(file.read())
    except OSError:
        return None


def remove_notes(boot: UUID) -> None:
    """Delete the notes of a server, unless its process lives and goes on writing them."""
    path = _path(boot)
    with suppress(OSError), path.open("rb") as file:
        if not _is_locked(file):
            path.unlink()


def _new_file(path: Path, size: int) -> int:
    """Return the descriptor of a new file that this process has locked; closing it would unlock."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.parent.stat().st_uid != os.geteuid():
        raise PermissionError(f"{path.parent} belongs to somebody else")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.truncate(descriptor, size)
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _is_locked(file: BufferedReader) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _ids(content: bytes) -> set[int]:
    whole = len(content) - len(content) % _ENTRY.size
    return {task_id for (task_id,) in _ENTRY.iter_unpack(content[:whole]) if task_id}
