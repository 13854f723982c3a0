"""What spoils the start of the processes that run tasks, and of no others."""

import os
from pathlib import Path

from tests.support import ROOT


def slow_children(folder: Path, begun: Path) -> str:
    """Return a PYTHONPATH on which child processes say by a file that they start, for ever."""
    return _path(folder, f"pathlib.Path({str(begun)!r}).touch(); time.sleep(1000)")


def spoilt_children(folder: Path, mended: Path) -> str:
    """Return a PYTHONPATH on which child processes do not start, unless a file is there."""
    return _path(folder, f"pathlib.Path({str(mended)!r}).exists() or os._exit(7)")


def _path(folder: Path, act: str) -> str:
    code = f"""
import os, pathlib, sys, time
if "leek.server.child" in " ".join(sys.orig_argv):
    {act}
"""
    (folder / "sitecustomize.py").write_text(code)
    return os.pathsep.join([str(folder), str(ROOT)])
