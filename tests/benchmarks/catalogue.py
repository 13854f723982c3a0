"""What can be measured, by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from tests.benchmarks.sizes import Sizes


@dataclass(frozen=True)
class Measure:
    """What is measured in one go; a long one has to be asked for."""

    name: str
    module: str
    is_long: bool = False

    def load(self) -> Callable[[Sizes], dict[str, float]]:
        """Return the function, once Django is set up."""
        module = import_module(f"tests.benchmarks.{self.module}")
        function: Callable[[Sizes], dict[str, float]] = getattr(module, self.name)
        return function


MEASURES = (
    Measure("calibrate", "calibration"),
    Measure("rates", "rates"),
    Measure("enqueue", "rates"),
    Measure("idle", "waiting"),
    Measure("start", "waiting"),
    Measure("due", "waiting"),
    Measure("recovery", "waiting"),
    Measure("sleepers", "load"),
    Measure("crowded", "rates", is_long=True),
    Measure("growth", "load", is_long=True),
    Measure("steady", "load", is_long=True),
    Measure("purge", "load", is_long=True),
    Measure("pages", "pages", is_long=True),
    Measure("costs", "costs"),
    Measure("fleet", "fleet", is_long=True),
)
NAMES = [measure.name for measure in MEASURES]


def chosen(only: Sequence[str], *, everything: bool) -> list[Measure]:
    """Return the measures of these names, or all short ones, or all."""
    if only:
        return [measure for measure in MEASURES if measure.name in only]
    return [measure for measure in MEASURES if everything or not measure.is_long]
