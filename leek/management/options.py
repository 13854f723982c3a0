"""How options are parsed."""

import argparse
import re
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from django.db.models import BigIntegerField

from leek.setting_kinds import CENTURY, Kind

T = TypeVar("T")

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}  # seconds


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


def age(text: str) -> timedelta:
    """Parse an age such as 90s, 30m, 12h, 7d or 2w."""
    if not (match := re.fullmatch(r"([0-9]+)([smhdw])", text)):
        raise argparse.ArgumentTypeError(f"{text} is not an age such as 90s, 30m, 12h, 7d or 2w")
    number, unit = match.groups()
    if int(number) * UNITS[unit] > CENTURY:
        raise argparse.ArgumentTypeError(f"{text} is more than a century, the longest age")
    return timedelta(seconds=int(number) * UNITS[unit])


def seconds(text: str) -> float:
    """Parse a time such as 60 or 0.5, in seconds, or 90s, 5m, 2h, 7d or 2w."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return age(text).total_seconds()
    if (found := float(text)) > CENTURY:
        raise argparse.ArgumentTypeError(f"{text} is more than a century, the longest age")
    return found
