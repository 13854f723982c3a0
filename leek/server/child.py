"""The start of the process that a Worker has for its tasks alone.

It is spawned by `leek.server.child_process`. Over a pipe it gets the server's command line and,
once Django is set up, the executor; then it says that it is ready for tasks. What they log it keeps
in a file that is the server's as well.
"""

import ctypes
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import django

from leek.server.shutdown import on_stop_signals

_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
_OUT_OF_MEMORY_SCORE = "500"  # from -1000 to 1000, the first to go


def main(pipe_descriptor: int, log_descriptor: int) -> None:
    """Run the tasks that come through the pipe, until it is closed at the other end."""
    _die_with_the_server()
    pipe = Connection(pipe_descriptor)
    with on_stop_signals(lambda: None, -1):  # only the server decides when this process ends
        sys.argv = _next_from(pipe)
        django.setup()
        from leek.log_context import name_tasks_on_stderr
        from leek.server.child_loop import Child

        name_tasks_on_stderr()
        Child(pipe, _next_from(pipe), log_descriptor).run()


def _next_from(pipe: Connection) -> Any:
    """Return what the server sends; end where it has ended as this process began."""
    try:
        return pipe.recv()
    except (EOFError, ConnectionError):
        sys.exit()


def _die_with_the_server() -> None:
    """Have the kernel end this process with the server, and sooner than it if memory runs out.

    Where the system cannot, `Child` sees the end of the pipe, as long as the task lets it.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OUT_OF_MEMORY_SCORE)
