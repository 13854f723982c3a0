"""Wall clocks of single processes that jump, by libfaketime; the monotonic clock stays true."""

import os
from contextlib import suppress
from pathlib import Path

_PLACES = (
    "/usr/lib/*/faketime",
    "/usr/lib/faketime",
    "/usr/local/lib/faketime",
    "/usr/lib64/faketime",
)


def library() -> Path | None:
    """Return libfaketime, or None where it is not installed."""
    for place in _PLACES:
        for found in sorted(Path("/").glob(f"{place[1:]}/libfaketimeMT.so.1")):
            return found
    return None


def environment(clock: Path) -> dict[str, str]:
    """Return the environment of a process whose wall clock follows a file."""
    if (preload := library()) is None:
        return {}
    if not clock.exists():
        set_clock(clock, 0)
    return {
        "LD_PRELOAD": str(preload),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def set_clock(clock: Path, seconds: float) -> None:
    """Let the processes that follow a file be so many seconds ahead, within a second."""
    fresh = clock.with_suffix(".new")
    fresh.write_text(f"{seconds:+.0f}\n")
    os.replace(fresh, clock)


def clean_up(pid: int) -> None:
    """Delete what libfaketime leaves of a process that was killed."""
    for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        with suppress(OSError):
            Path("/dev/shm", name).unlink()
