"""Runs one measurement in a group of processes of its own, and ends all of them with it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.benchmarks.peers.catalogue import Variant
from tests.benchmarks.peers.databases import place_for
from tests.benchmarks.peers.figures import Figures, Limits
from tests.benchmarks.peers.peer import Place
from tests.benchmarks.peers.worker import last_line
from tests.support import ROOT

END_WITHIN = 6.0


def run(variant: Variant, limits: Limits, servers: dict[str, str]) -> Figures:
    """Return what was found of a set-up, or the reason why nothing was."""
    try:
        for package in variant.peer.packages:
            version(package)
        with place_for(variant, servers) as place:
            return _measure(place, limits)
    except PackageNotFoundError as missing:
        return Figures(failed=f"not installed: {missing.name}")
    except Exception as error:
        return Figures(failed=f"{type(error).__name__}: {error}")


def _measure(place: Place, limits: Limits) -> Figures:
    log, found = Path(place.directory) / "log", Path(place.directory) / "figures.json"
    command = [sys.executable, "-m", "tests.benchmarks.peers.measuring"]
    with (
        log.open("w") as stream,
        _group([*command, json.dumps(asdict(limits))], place, stream.fileno()) as process,
    ):
        try:
            process.wait(limits.in_all)
        except subprocess.TimeoutExpired:
            return Figures(failed=f"not done within {limits.in_all:.0f} s")
    return Figures.read(found) if found.exists() else Figures(failed=last_line(log))


@contextmanager
def _group(command: list[str], place: Place, log: int) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a group of processes, and end whatever is left of it."""
    process = subprocess.Popen(
        command,
        env=place.environment(),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _end(process)


def _end(leader: "subprocess.Popen[bytes]") -> None:
    """Ask a group to end, and end it if it does not, or if the wait for it is interrupted."""
    gone = False
    try:
        gone = _ended_when_asked(leader)
    finally:
        if not gone:
            with suppress(ProcessLookupError):
                os.killpg(leader.pid, signal.SIGKILL)
        leader.wait()


def _ended_when_asked(leader: "subprocess.Popen[bytes]") -> bool:
    with suppress(ProcessLookupError):  # raised when nobody is left
        os.killpg(leader.pid, signal.SIGTERM)
        deadline = time.monotonic() + END_WITHIN
        while time.monotonic() < deadline:
            leader.poll()
            os.killpg(leader.pid, 0)
            time.sleep(0.02)
        return False
    return True
