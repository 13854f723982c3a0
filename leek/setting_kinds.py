"""What kinds of values the settings take, in `TASKS_QUEUE` and as texts of the environment."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from django.conf import settings as django_settings
from environ import Env

from leek.conditions import SERVICES, service_named
from leek.places import entries_in
from leek.queues import LONGEST_NAME, Queues, check_entry

T = TypeVar("T")

DAY = 86_400.0  # seconds
CENTURY = 36_525 * DAY

_HEADER_TEXT = re.compile(r"(?!\s)[^\x00-\x1f\x7f\ud800-\udfff]+(?<!\s)")


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What values a setting takes: in words, as a function, and as a text of the environment.

    `accept` and `parse` raise TypeError, ValueError or OverflowError for anything else; WrongPart,
    a ValueError, where they can tell more.
    """

    expected: str
    accept: Callable[[Any], T]
    parse: Callable[[str], Any] = str


class WrongPart(ValueError):
    """A part of a setting's value cannot be used: the problem, and the remedy.

    The setting's name is put in front of the problem.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(value)
    return value


def _places(value: Any) -> str:
    text = _text(value)
    try:
        entries_in(text)
    except ValueError as error:
        raise WrongPart(f" is {text!r}, which {error}.", f"Set it to {PLACES.expected}.") from None
    return text


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


def _seconds(value: Any) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ValueError(value)
    if not 0 <= seconds <= CENTURY:
        raise ValueError(value)
    return float(seconds)


def _period(value: Any) -> float:
    if not 0 < (seconds := _seconds(value)) <= DAY:
        raise ValueError(value)
    return seconds


def _seconds_or_none(value: Any) -> float | None:
    return None if value is None else _seconds(value)


def _period_or_none(value: Any) -> float | None:
    return None if value is None else _period(value)


def _parse_flag(text: str) -> bool:
    if text.lower() in Env.BOOLEAN_TRUE_STRINGS:
        return True
    if text.lower() in ("false", "off", "n", "no", "0"):
        return False
    raise ValueError(text)


def _parse_names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _queue(value: Any) -> str:
    if len(text := _text(value)) > LONGEST_NAME:
        raise ValueError(value)
    return text


def _number(low: int, high: float = float("inf")) -> Callable[[Any], int]:
    def accept(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(value)
        return value

    return accept


def _queues_or_none(value: Any) -> Queues:
    if value is None:
        return None
    if not isinstance(value, list | tuple | set | dict) or not value:
        raise ValueError(value)
    for entry in value:
        check_entry(_text(entry))
    if isinstance(value, dict):
        return {entry: COUNT.accept(weight) for entry, weight in value.items()}
    return [*value]


def _services(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(value)
    return tuple(service_named(_text(name)) for name in value)


def _words(value: Any) -> list[str]:
    if not isinstance(value, list | tuple):
        raise ValueError(value)
    return [*map(_text, value)]


def _parse_queues(text: str) -> list[str] | dict[str, int]:
    """Return the entries; with their weights if one has any, 1 where it is left out."""
    entries = _parse_names(text)
    if not any("=" in entry for entry in entries):
        return entries
    weights: dict[str, int] = {}
    for entry in entries:
        before, _, weight = entry.rpartition("=") if "=" in entry else (entry, "=", "1")
        if (name := _text(before.strip())) in weights:
            raise ValueError(text)
        weights[name] = COUNT.accept(int(weight))
    return weights


def _token_or_none(value: Any) -> str | None:
    """Accept what a header can hold; the value is a secret, so that no message shows it."""
    if value is None or (isinstance(value, str) and _HEADER_TEXT.fullmatch(value)):
        return value
    problem = " is empty" if value == "" else " is not a text that a header can hold"
    raise WrongPart(f"{problem}.", f"Set it to {TOKEN_OR_NONE.expected}.")


def choice(*choices: str) -> Kind[str]:
    """Return the kind of a setting that takes one of these texts."""

    def accept(value: Any) -> str:
        if value not in choices:
            raise ValueError(value)
        return str(value)

    return Kind("one of " + ", ".join(f'"{choice}"' for choice in choices), accept)


def _alias_or_none(value: Any) -> str | None:
    if value is not None and value not in django_settings.DATABASES:
        raise ValueError(value)
    return value  # type: ignore[no-any-return]


TEXT = Kind("a text", _text)
PLACES = Kind(
    'a host, or several with commas, each with a port or without: "queue1,queue2:8003"', _places
)
FLAG = Kind("True or False", _flag, _parse_flag)
PORT = Kind("a port number from 1 to 65535", _number(1, 65535), int)
ANY_PORT = Kind("a port number from 0 to 65535", _number(0, 65535), int)
NUMBER = Kind("a whole number from 0", _number(0), int)
COUNT = Kind("a whole number from 1", _number(1), int)
LINES = Kind("a whole number from 0 to 1000", _number(0, 1000), int)
PRIORITY = Kind("a whole number from -100 to 100", _number(-100, 100), int)
QUEUE = Kind(f"a name of 1 to {LONGEST_NAME} characters", _queue)
SECONDS = Kind("seconds: a number from 0, or a timedelta", _seconds, float)
PERIOD = Kind("seconds: a number above 0 and up to a day, or a timedelta", _period, float)
AGE_OR_NONE = Kind(f"{SECONDS.expected}; or None for never", _seconds_or_none, float)
PERIOD_OR_NONE = Kind(f"{PERIOD.expected}; or None for no limit", _period_or_none, float)
REQUIREMENTS = Kind(f"a list of {SERVICES}", _services, _parse_names)
QUEUES = Kind(
    "a list of names or patterns, a dictionary of their weights (whole numbers from 1),"
    " or None for all",
    _queues_or_none,
    _parse_queues,
)
WORDS = Kind("a list of texts", _words, _parse_names)
TOKEN_OR_NONE = Kind(
    "a text without line breaks, or white space around it, that nobody can guess"
    " (secrets.token_urlsafe() makes one), or None to keep health and metrics closed",
    _token_or_none,
)
ALIAS = Kind("the alias of one of DATABASES, or None", _alias_or_none)
