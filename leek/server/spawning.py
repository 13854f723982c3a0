"""Processes of this very site, spawned by this one, each at the other end of a pipe."""

import os
import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from django.conf import settings

_CODE = "import sys; sys.path[:] = sys.argv[1:]; from {} import main; main({})"


def spawn(
    module: str, *shared: int, **options: Any
) -> "tuple[subprocess.Popen[bytes], Connection]":
    """Start a process in which `main` of a module gets its end of a pipe, as a descriptor.

    It gets the `shared` descriptors as well, where -1 stands for none. Unless the options say
    otherwise, a signal to this process's group spares it.
    """
    options = {"stdin": subprocess.DEVNULL, "process_group": 0, **options}
    ours, theirs = Pipe()
    descriptors = [theirs.fileno(), *shared]
    warnings = (f"-W{option}" for option in sys.warnoptions)
    code = _CODE.format(module, ", ".join(map(str, descriptors)))
    with theirs:
        process = subprocess.Popen(  # noqa: S603 (this very Python)
            [sys.executable, *warnings, "-c", code, *sys.path],
            pass_fds=[descriptor for descriptor in descriptors if descriptor >= 0],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE},
            **options,
        )
    return process, ours
