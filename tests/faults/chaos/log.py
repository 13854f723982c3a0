"""The append-only log that all processes of a run write, outside of the queue's tables.

A line is written by one call of the system at the end of the file, so that none is torn and none is
lost when its process is killed. Times are of the monotonic clock, which all processes share.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from tests.support import whole_lines

PATH = "CHAOS_LOG"  # the environment variable

Line = dict[str, Any]


def write(what: str, **values: Any) -> None:
    """Add a line: what happened, when and in which process."""
    line = {"what": what, "at": time.monotonic(), "pid": os.getpid(), "parent": os.getppid()}
    file = os.open(os.environ[PATH], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{json.dumps(line | values)}\n".encode())
    finally:
        os.close(file)


def read(path: Path) -> list[Line]:
    """Return all lines that are whole: somebody may be writing one."""
    return [json.loads(line) for line in whole_lines(path)]
