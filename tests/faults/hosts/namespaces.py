"""Network namespaces: networks of their own, which processes and single threads can be in."""

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "leek"  # of the names of namespaces, which all of the machine share
_NAMED = Path("/run/netns")
_FILES = Path("/etc/netns")  # what a namespace's processes see in /etc instead
_CLONE_NEWNET = 0x40000000  # see setns(2)

_numbers = itertools.count()


def new_group() -> str:
    """Return how the names of some namespaces are to begin.

    It tells which process they belong to, so that others can delete what a killed one has left.
    """
    pid = os.getpid()
    return f"{PREFIX}-{pid}-{_started_at(pid)}-{next(_numbers)}"


def create(name: str) -> None:
    """Make a namespace."""
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")


def delete(name: str) -> None:
    """Delete a namespace, and end the processes in it."""
    listed = subprocess.run(
        ["ip", "netns", "pids", name], capture_output=True, text=True, check=False
    )
    for pid in {*map(int, listed.stdout.split())} - {os.getpid()}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    shutil.rmtree(_FILES / name, ignore_errors=True)


def delete_leftovers() -> None:
    """Delete the namespaces whose process has ended without."""
    for path in _NAMED.glob(f"{PREFIX}-*-*-*-*"):
        _, pid, started_at, *_ = path.name.split("-")
        if _started_at(int(pid)) != started_at:
            delete(path.name)


def seen_in(name: str, file: str) -> Path:
    """Return the file that the processes of a namespace see as one of this name in /etc.

    It has to be there before they start, and is to be changed in place afterwards.
    """
    path = _FILES / name / file
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def prefix(name: str) -> tuple[str, ...]:
    """Return what to put before a command to run it in a namespace; the process stays the same."""
    return "ip", "netns", "exec", name


@contextmanager
def entered(name: str) -> Iterator[None]:
    """Have this thread, and what it starts, in a namespace: its sockets stay there.

    It does not see the files of `seen_in`.
    """
    with open("/proc/thread-self/ns/net") as former, (_NAMED / name).open() as namespace:
        _enter(namespace.fileno())
        try:
            yield
        finally:
            _enter(former.fileno())


def _enter(namespace: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)  # os.setns came with Python 3.12
    if library.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "the network namespace cannot be entered")


def run(*command: str, told: str | None = None) -> None:
    """Run a command, and tell it something; raise with what it says where it fails."""
    answer = subprocess.run(command, input=told, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise OSError(f"{' '.join(command)}: {answer.stderr.strip()}")


def _started_at(pid: int) -> str:
    """Return when a process was started, in the system's own unit; nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
