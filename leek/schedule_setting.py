"""The setting SCHEDULE: recurring tasks by their names, as a site writes them down."""

import json
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings

from leek import setting_kinds as kinds
from leek.path_kinds import DOTTED_PATH
from leek.schedule import CATCH_UP, EPOCH, Cron, Every, Schedule
from leek.setting_kinds import Kind, WrongPart

SHORTEST = timedelta(milliseconds=1)  # as exact as every database's clock is


def _interval(value: Any) -> timedelta:
    if (interval := timedelta(seconds=kinds.SECONDS.accept(value))) < SHORTEST:
        raise ValueError(value)
    return interval


def _zone(value: Any) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except (KeyError, OSError):  # there is no such file, or it is a folder
        raise ValueError(value) from None


def _args(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(value)
    return tuple(value)


def _kwargs(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError(value)
    return dict(value)


_KINDS: dict[str, Kind[Any]] = {
    "task": DOTTED_PATH,
    "every": Kind("seconds: a number above 0 (from 0.001), or a timedelta", _interval),
    "cron": Kind('a text such as "0 3 * * *"', kinds.TEXT.accept),
    "args": Kind("a list", _args),
    "kwargs": Kind("a dictionary with texts as keys", _kwargs),
    "queue": kinds.QUEUE,
    "priority": kinds.PRIORITY,
    "timezone": Kind('the name of a time zone, such as "Europe/Berlin"', _zone),
    "catch_up": kinds.choice(*CATCH_UP),
}
_CRON_REMEDY = (
    "Set it to minute, hour, day of the month, month and day of the week of days that there are."
)


def parse_entry(name: str, entry: Any, default_zone: str) -> Schedule:
    """Return the schedule that an entry describes; raise WrongPart where it cannot be used."""
    place = f'["{name}"]'
    if not name.strip() or name != name.strip() or len(name) > 255:
        raise WrongPart(
            f"{place} is not a good name.", "Take 1 to 255 characters, no spaces around."
        )
    if not isinstance(entry, Mapping):
        raise WrongPart(
            f"{place} is {entry!r}.", 'Set it to a dictionary such as {"task": ..., "every": 60}.'
        )
    _check_keys(place, entry)
    values = {key: _value(place, key, value) for key, value in entry.items()}
    recurrence = _recurrence(place, values, default_zone)
    return Schedule(name, values.pop("task"), recurrence, **values)


def _check_keys(place: str, entry: Mapping[Any, Any]) -> None:
    for key in entry:
        if key not in _KINDS:
            near = get_close_matches(str(key), _KINDS, n=1)
            remedy = f'Did you mean "{near[0]}"?' if near else f"Known keys: {', '.join(_KINDS)}."
            raise WrongPart(f'{place} has an unknown key, "{key}".', remedy)
    if "task" not in entry:
        raise WrongPart(f'{place} has no "task".', f"Set it to {DOTTED_PATH.expected}.")
    if ("every" in entry) == ("cron" in entry):
        number = "both" if "every" in entry else "neither"
        raise WrongPart(f'{place} has {number} of "every" and "cron".', "Give one of the two.")


def _value(place: str, key: str, value: Any) -> Any:
    kind = _KINDS[key]
    try:
        return kind.accept(value)
    except (TypeError, ValueError, OverflowError):
        raise WrongPart(f'{place}["{key}"] is {value!r}.', f"Set it to {kind.expected}.") from None


def _recurrence(place: str, values: dict[str, Any], default_zone: str) -> Every | Cron:
    """Return when a task recurs, and take what says so from the values."""
    zone = values.pop("timezone", None)
    if interval := values.pop("every", None):
        return Every(interval)
    expression = values.pop("cron")
    problem = f'{place}["cron"] is {expression!r}'
    try:
        from cronsim import CronSimError
    except ImportError:
        raise WrongPart(
            f"{problem}, which needs the package cronsim.",
            'Install it (pip install "django-leek[cron]"), or use "every".',
        ) from None
    cron = Cron(expression, zone or ZoneInfo(default_zone))
    try:
        if next(cron.after(EPOCH), None):
            return cron
    except CronSimError as error:
        problem += f" ({error})"
    raise WrongPart(f"{problem}.", _CRON_REMEDY)


def _accept(value: Any) -> dict[str, Schedule]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ValueError(value)
    zone = django_settings.TIME_ZONE
    return {name: parse_entry(name, entry, zone) for name, entry in value.items()}


SCHEDULE = Kind(
    'a dictionary of entries such as "cleanup": {"task": "shop.tasks.cleanup", "every": 60}',
    _accept,
    json.loads,
)
