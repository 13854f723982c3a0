"""What spoils the start of the processes that run tasks, and of no others."""

import os
from pathlib import Path

from tests.support import ROOT


def slow_children(folder: Path, begun: Path) -> str:
    """Return a PYTHONPATH on which child processes say by a file that they start, for ever.

    That is as long as the server lives.
    """
    return _path(
        folder,
        f"parent = os.getppid(); pathlib.Path({str(begun)!r}).touch()",
        "while os.getppid() == parent: time.sleep(0.02)",
    )


def spoilt_children(folder: Path, mended: Path) -> str:
    """Return a PYTHONPATH on which child processes do not start, unless a file is there."""
    return _path(folder, f"pathlib.Path({str(mended)!r}).exists() or os._exit(7)")


def _path(folder: Path, *lines: str) -> str:
    condition = 'if "leek.server.child" in " ".join(sys.orig_argv):'
    code = ["import os, pathlib, sys, time", condition, *(f"    {line}" for line in lines)]
    (folder / "sitecustomize.py").write_text("\n".join(code))
    return os.pathsep.join([str(folder), str(ROOT)])
