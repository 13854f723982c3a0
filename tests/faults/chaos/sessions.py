"""The processes of a session: a server with all that it has started."""

import os
import signal
from contextlib import suppress
from pathlib import Path


def living(session: int) -> list[int]:
    """Return the ids of the processes of a session, but for zombies."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended in the meantime
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                found.append(int(stat.parent.name))
    return found


def kill(session: int) -> None:
    """End all processes of a session."""
    for pid in living(session):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
