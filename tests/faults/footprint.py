"""What a process holds, as Linux tells it."""

from dataclasses import dataclass
from pathlib import Path

IS_TOLD = Path("/proc/self/fd").exists()


@dataclass(frozen=True)
class Footprint:
    """Resident memory in KiB, threads, open files and processor time in ticks of a process."""

    memory: int
    threads: int
    files: int
    ticks: int


def footprint(process: int) -> Footprint:
    """Return what a process holds now."""
    folder = Path(f"/proc/{process}")
    lines = (folder / "status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    times = (folder / "stat").read_text().rpartition(")")[2].split()
    return Footprint(
        memory=int(status["VmRSS"].split()[0]),
        threads=int(status["Threads"]),
        files=len(list((folder / "fd").iterdir())),
        ticks=int(times[11]) + int(times[12]),
    )
