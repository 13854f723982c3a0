"""Under what conditions a task may start. Pure: no clock, no database.

A task that may not start waits at a gate. The gate of a service is named as the service is, those
of limits begin with "limit:" and "rate:".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

LIMIT, RATE = "limit:", "rate:"
LONGEST_SERVICE = 200  # characters
SERVICES = (
    '"smtp", "smtp:<mailer>", "database:<alias>", "cache:<alias>", "tcp:<host>:<port>",'
    " dotted paths"
)
SLICES = 20  # of a rate's period: starts are counted by slices
_MARGIN = 2  # slices: one is cut by the period, one is for the way from the count to the start

_PERIODS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_RATE = re.compile(r"(?P<number>[0-9]+)/(?P<times>[0-9]*)(?P<unit>[smhd])")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many starts in so many seconds, at most."""

    number: int
    period: float

    @property
    def _slice(self) -> float:
        return self.period / SLICES

    def free(self, starts: Mapping[str, int], now: float) -> int:
        """Return how many tasks may start now; `now` is in seconds, `starts` is of `noted`."""
        return max(self.number - sum(self._recent(starts, now).values()), 0)

    def noted(self, starts: Mapping[str, int], now: float) -> dict[str, int]:
        """Return the starts with one more, without those that do not count any more."""
        current = str(int(now // self._slice))
        recent = self._recent(starts, now)
        return recent | {current: recent.get(current, 0) + 1}

    def seconds_to_next(self, starts: Mapping[str, int], now: float) -> float:
        """Return in how many seconds a task may start that may not start now."""
        if self.free(starts, now) or not (recent := self._recent(starts, now)):
            return 0.0
        oldest = min(map(int, recent))
        return max((oldest + SLICES + _MARGIN) * self._slice - now, 0.0)

    def _recent(self, starts: Mapping[str, int], now: float) -> dict[str, int]:
        first = int(now // self._slice) - SLICES - _MARGIN + 1
        return {number: count for number, count in starts.items() if int(number) >= first}


class Gate(NamedTuple):
    """What a task may have to wait at: of at most `running` tasks at a time, or of a rate."""

    name: str
    running: int | None = None
    rate: Rate | None = None


class Conditions(NamedTuple):
    """What has to be there for a task to start: services that work, and room at gates."""

    requires: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()


def service_named(name: str) -> str:
    """Return the name of a service that tasks may require; raise ValueError if it is none."""
    kind, _, rest = name.partition(":")
    host, _, port = rest.rpartition(":")
    built_in = {
        "smtp": name == "smtp" or (bool(rest) and not rest.isdecimal()),  # no port
        "database": bool(rest),
        "cache": bool(rest),
        "tcp": bool(host) and port.isdecimal(),
    }
    is_path = "." in name and all(part.isidentifier() for part in name.split("."))
    if not built_in.get(kind, is_path) or len(name) > LONGEST_SERVICE:
        raise ValueError(name)
    return name


def parse_rate(text: str) -> Rate:
    """Return the rate that a text such as "100/m" or "5/10s" means; raise ValueError."""
    if not (found := _RATE.fullmatch(text)) or not int(found["number"]):
        raise ValueError(text)
    if not (times := int(found["times"] or 1)):
        raise ValueError(text)
    return Rate(int(found["number"]), times * _PERIODS[found["unit"]])
