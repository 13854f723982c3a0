"""Numbers as curves: the scale of an axis, and the paths of SVG that show values on it. Pure.

Coordinates are those of a plot's own picture, WIDTH by HEIGHT, with the values between LEFT and
RIGHT and from BOTTOM, which is zero, up to TOP.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 280, 132
LEFT, RIGHT, TOP, BOTTOM = 48.0, 274.0, 10.0, 110.0
STEPS = (1.0, 2.0, 4.0)  # of each power of ten; half of each is a short number as well
LEAST = 1.5  # how high a bar is at least, so that one failure among thousands is seen
MINUTES = (60.0, 120.0, 240.0, 600.0, 1200.0, 2400.0, 3600.0, 7200.0)  # in seconds


@dataclass(frozen=True)
class Tick:
    """A place on an axis that has a label."""

    at: float
    label: str

    @property
    def baseline(self) -> float:
        """Where the text of a label beside this place stands."""
        return self.at + 4


def scale_of(values: Sequence[float | None], least: float) -> float:
    """Return the end of an axis on which all values are: a round number, `least` or more."""
    highest = max([least, *(value for value in values if value is not None)])
    power = 1.0
    while power > highest:
        power /= 10
    while power * 10 <= highest:
        power *= 10
    rounded = next((power * step for step in STEPS if power * step >= highest), power * 10)
    return float(f"{rounded:.3g}")


def scale_of_seconds(values: Sequence[float | None], least: float) -> float:
    """Return the end of an axis of times, which is round in minutes where there are some."""
    scale = scale_of(values, least)
    if scale <= MINUTES[0] or scale > MINUTES[-1]:
        return scale
    highest = max(value for value in values if value is not None)
    return next(minutes for minutes in MINUTES if minutes >= highest)


def height_of(value: float, scale: float) -> float:
    """Return where a value is on the upright axis."""
    return round(BOTTOM - (BOTTOM - TOP) * min(value / scale, 1.0), 1)


def middle_of(number: int, count: int) -> float:
    """Return where the middle of one of so many slots is on the level axis."""
    return round(LEFT + (RIGHT - LEFT) * (number + 0.5) / count, 1)


def bars(values: Sequence[float], scale: float) -> str:
    """Return the path of one bar for each value; a zero has none."""
    width = (RIGHT - LEFT) / max(len(values), 1)
    return "".join(
        f"M{LEFT + width * (number + 0.1):.1f} {BOTTOM:.1f}"
        f"V{min(height_of(value, scale), BOTTOM - LEAST):.1f}h{width * 0.8:.1f}V{BOTTOM:.1f}z"
        for number, value in enumerate(values)
        if value > 0
    )


def line(values: Sequence[float | None], scale: float) -> str:
    """Return the path of a line from value to value; it ends where there is none.

    A value alone between two gaps is a line without length, which round ends make a dot.
    """
    path, is_drawing = "", False
    for number, value in enumerate(values):
        if value is not None:
            at = f"{middle_of(number, len(values)):.1f} {height_of(value, scale):.1f}"
            path += f"L{at}" if is_drawing else f"M{at}h0"
        is_drawing = value is not None
    return path
