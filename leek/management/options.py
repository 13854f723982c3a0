"""How options are parsed."""

import argparse
from collections.abc import Callable
from typing import TypeVar

from django.db.models import BigIntegerField

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


def task_id(text: str) -> int:
    """Parse the id of a task."""
    if text.isdecimal() and 0 < (number := int(text)) <= BigIntegerField.MAX_BIGINT:
        return number
    raise argparse.ArgumentTypeError(f"{text} is not the id of a task")
