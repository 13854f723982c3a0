"""The parent's end of the benchmark's own server."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection

from leek import hinting
from leek.bench.serving import HOST
from leek.exceptions import LeekError
from leek.server.spawning import spawn

STOP_TIMEOUT = 10.0  # seconds for the server to end in
LOOK_INTERVAL = 0.05  # seconds between two looks whether the user has had enough

Process = subprocess.Popen[bytes]


class NoServer(LeekError):
    """The benchmark's server does not start."""


@contextmanager
def running_server(check: Callable[[], None]) -> Iterator[int]:
    """Run a server that all pushes of this process are hinted to, and yield its port.

    `check` raises where there is no need to wait for it any more.
    """
    process, pipe = spawn("leek.bench.child", stdout=sys.stderr.fileno())
    with closing(pipe):
        try:
            port = _port(pipe, check)
            with hinting.hints_to(HOST, port):
                yield port
        finally:
            _stop(process)


def _port(pipe: Connection, check: Callable[[], None]) -> int:
    while not pipe.poll(LOOK_INTERVAL):
        check()
    try:
        said: int | str = pipe.recv()
    except (EOFError, OSError):
        said = "it ended as it began"
    if isinstance(said, str):
        raise NoServer(f"leek_bench cannot start its server: {said}.")
    return said


def _stop(process: Process) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
