"""How options are parsed."""

import argparse
from collections.abc import Callable
from typing import TypeVar

from leek.setting_kinds import Kind

T = TypeVar("T")


def value_of(kind: Kind[T]) -> Callable[[str], T]:
    """Return a function that parses an option as the environment variable of a setting is."""

    def parse(text: str) -> T:
        try:
            return kind.accept(kind.parse(text))
        except (TypeError, ValueError, OverflowError):
            raise argparse.ArgumentTypeError(f"{text!r}. Give {kind.expected}.") from None

    return parse
