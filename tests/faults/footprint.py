"""What a process holds, as Linux tells it."""

from dataclasses import dataclass
from pathlib import Path

IS_TOLD = Path("/proc/self/fd").exists()


@dataclass(frozen=True)
class Footprint:
    """Resident memory in KiB, threads, open files and processor time in ticks of a process.

    Sockets are files as well.
    """

    memory: int
    threads: int
    files: int
    sockets: int
    ticks: int


def footprint(process: int) -> Footprint:
    """Return what a process holds now."""
    folder = Path(f"/proc/{process}")
    lines = (folder / "status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    files = [*map(_target, (folder / "fd").iterdir())]
    times = (folder / "stat").read_text().rpartition(")")[2].split()
    return Footprint(
        memory=int(status["VmRSS"].split()[0]),
        threads=int(status["Threads"]),
        files=len(files),
        sockets=sum(file.startswith("socket:") for file in files),
        ticks=int(times[11]) + int(times[12]),
    )


def _target(file: Path) -> str:
    """Return what a descriptor stands for; nothing if it was closed meanwhile."""
    try:
        return str(file.readlink())
    except FileNotFoundError:
        return ""
