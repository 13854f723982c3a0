"""What one measurement found, and how it crosses from its process to the one that asks."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """How much is measured at most."""

    tasks: int
    pushes: int
    seconds: float

    @property
    def in_all(self) -> float:
        """Seconds after which a measurement is given up: its parts, and twice a start."""
        return 5 * self.seconds + 15


@dataclass
class Figures:
    """Rates a second by name, milliseconds from push to start, and what was odd."""

    rates: dict[str, float] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    failed: str = ""  # the reason, if there are no figures

    def write(self, path: Path) -> None:
        """Leave them in a file."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Figures":
        """Read what was left."""
        return cls(**json.loads(path.read_text()))
