"""The process of the benchmark's own server.

It is spawned by `leek.bench.server`. It ends as any server does, and at once when the other end of
the pipe is closed, so that nothing outlives a killed benchmark.
"""

import os
import threading
from contextlib import suppress
from multiprocessing.connection import Connection

import django


def main(descriptor: int) -> None:
    """Run tasks until asked to stop."""
    pipe = Connection(descriptor)
    threading.Thread(target=_end_with, args=[pipe], daemon=True).start()
    django.setup()
    from leek.bench.serving import serve

    serve(pipe.send)


def _end_with(pipe: Connection) -> None:
    with suppress(EOFError, OSError):
        pipe.recv()
    os._exit(1)
