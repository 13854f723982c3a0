"""On what the figures were measured."""

import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def describe(packages: Iterable[str], servers: Iterable[str]) -> list[str]:
    """Return the machine, and the versions of everything."""
    cores = len(os.sched_getaffinity(0))
    return [
        f"{cores} cores of {_processor()}, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, {', '.join(servers)}",
        ", ".join(_versions(packages)),
    ]


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _versions(packages: Iterable[str]) -> list[str]:
    found = []
    for package in dict.fromkeys(packages):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} (not installed)")
    return found
