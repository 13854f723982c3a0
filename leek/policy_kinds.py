"""What values the options of a policy take."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS

from leek.conditions import SERVICES, parse_rate, service_named
from leek.exceptions import InvalidTask
from leek.queues import LONGEST_NAME
from leek.retry import Delay, Errors
from leek.task import path_of, short_repr

LOWEST_PRIORITY, HIGHEST_PRIORITY = -100, 100

Key = str | Callable[..., Any]


def checked(name: str, value: Any) -> Any:
    """Return the value of an option as it is kept; None stays None.

    Raise InvalidTask where it cannot be used, TypeError where there is no such option.
    """
    if name not in _KINDS:
        raise TypeError(f"{name!r} is no option. There are: {', '.join(_KINDS)}.")
    if value is None:
        return None
    accept, expected = _KINDS[name]
    try:
        return accept(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidTask(f"{name} is {short_repr(value)}. Give {expected}.") from None


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError
    return value


def _seconds(value: Any) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= 0:
        raise ValueError
    return float(seconds)


def _delay(value: Any) -> Delay:
    if callable(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError
        return tuple(map(_seconds, value))
    return _seconds(value)


def _period(value: Any) -> float:
    if not (seconds := _seconds(value)):
        raise ValueError
    return seconds


def _errors(value: Any) -> Errors:
    errors = (value,) if isinstance(value, type) else tuple(value)
    if not errors or not all(issubclass(error, BaseException) for error in errors):
        raise ValueError
    return errors


def _atomic(value: Any) -> str:
    if isinstance(value, bool):
        return DEFAULT_DB_ALIAS if value else ""
    if value not in ("", *settings.DATABASES):  # "" is what False is kept as
        raise ValueError
    return str(value)


def _requirements(value: Any) -> tuple[str, ...]:
    single = isinstance(value, str) or callable(value)
    return tuple(map(_requirement, (value,) if single else value))


def _requirement(value: Any) -> str:
    if isinstance(value, str):
        return service_named(value)
    if not callable(value):
        raise TypeError(value)
    return path_of(value)


def _rate(value: Any) -> str:
    parse_rate(value)
    return str(value)


def _key(value: Any) -> Key:
    if not callable(value) and (not isinstance(value, str) or not value):
        raise ValueError
    return value  # type: ignore[no-any-return]


def _queue(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        raise ValueError
    return str.__str__(value)  # of a member of TextChoices, or of another enumeration, its value


def _priority(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError
    if not LOWEST_PRIORITY <= value <= HIGHEST_PRIORITY:
        raise ValueError
    return int(value)


_KINDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "max_retries": (_count, "a whole number from 1"),
    "retry_delay": (_delay, "seconds, a list of them, or a function of the number of the try"),
    "retry_on": (_errors, "a class of exceptions, or a list of them"),
    "give_up_on": (_errors, "a class of exceptions, or a list of them"),
    "timeout": (_period, "seconds above 0, or a timedelta; math.inf for no limit"),
    "atomic": (_atomic, "True, False or the alias of one of DATABASES"),
    "requires": (
        _requirements,
        f"a list of {SERVICES}, or functions",
    ),
    "limit": (_count, "a whole number from 1"),
    "rate": (_rate, 'a text such as "100/m", "5/10s" or "2000/d"'),
    "key": (_key, "a text, or a function of the task's arguments"),
    "queue": (_queue, f"a name of 1 to {LONGEST_NAME} characters"),
    "priority": (_priority, "a whole number from -100 to 100"),
}
