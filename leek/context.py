"""What surrounds a push, and is to surround its task as well.

That is the language, the time zone, the id of the request, and the context variables that the
setting CONTEXT names. It is stored in the head of the payload, as far as it differs from what every
task has::

    {"language": "de", "time_zone": "Europe/Berlin", "request_id": "7d1c", "variables": {...}}

What leads back to the trace of the push is stored beside them (see `leek.tracing`).
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar, copy_context
from datetime import timedelta, tzinfo
from datetime import timezone as fixed_timezone
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone, translation

from leek.conf import config
from leek.exceptions import InvalidTask
from leek.path_kinds import variable_at
from leek.tagged_json import NotExact, encode

request_id: ContextVar[str | None] = ContextVar("leek_request_id", default=None)

_UNSET = object()
_AT_START = copy_context()  # as Django's set-up imports this: quicker to compare than to look into

logger = logging.getLogger("leek")


def captured() -> dict[str, Any]:
    """Return what surrounds the caller, as values that JSON holds.

    Raise InvalidTask, naming it, where something cannot be stored.
    """
    if (context := copy_context()) == _AT_START or not len(context):  # nothing was set
        return {}
    found = {
        "language": _language(),
        "time_zone": _time_zone(),
        "request_id": request_id.get(),
        "variables": _variables() or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def restore(stored: Mapping[str, Any]) -> None:
    """Set what was captured, in the context that is current: give each task one of its own.

    What does not exist here any more is left out, and logged.
    """
    for name, value in stored.items():
        if name == "variables":
            for path, content in value.items():
                _try(f"The context variable {path}", partial(_set_variable, path, content))
        elif name in _RESTORERS:
            what, restorer = _RESTORERS[name]
            _try(f"{what} {value}", partial(restorer, value))


def _language() -> str | None:
    """Return the active language, None if it is the usual one, or translation is off."""
    language = translation.get_language()
    return None if language == settings.LANGUAGE_CODE else language


def _time_zone() -> str | timedelta | None:
    """Return the current time zone as a name, or as a fixed offset; None if it is the usual one."""
    zone = timezone.get_current_timezone()
    if zone is timezone.get_default_timezone():
        return None
    if isinstance(zone, ZoneInfo) and zone.key:
        return zone.key
    if isinstance(zone, fixed_timezone):
        return zone.utcoffset(None)
    raise InvalidTask(
        f"The current time zone is {zone!r}, which cannot be stored with a task."
        " Activate one that has a name, or a fixed offset."
    )


def _variables() -> dict[str, Any]:
    """Return the values of the context variables that were set, by their paths."""
    values = {path: variable.get(_UNSET) for path, variable in config.CONTEXT}
    values = {path: value for path, value in values.items() if value is not _UNSET}
    for path, value in values.items():
        try:
            encode(value)
        except NotExact as error:
            raise InvalidTask(
                f"The context variable {path} cannot be stored with a task: {error}"
            ) from error
    return values


def _activate_time_zone(stored: str | timedelta) -> None:
    zone: str | tzinfo = fixed_timezone(stored) if isinstance(stored, timedelta) else stored
    timezone.activate(zone)


def _set_variable(path: str, value: Any) -> None:
    variable_at(path).set(value)


_RESTORERS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "language": ("The language", translation.activate),
    "time_zone": ("The time zone", _activate_time_zone),
    "request_id": ("The request id", request_id.set),
}


def _try(what: str, action: Callable[[], object]) -> None:
    try:
        action()
    except BaseException as error:  # noqa: BLE001 (an import may even call sys.exit)
        with suppress(Exception):  # the site's logging may raise
            logger.warning(
                "%s cannot be restored, and a task runs without it: %s: %s",
                what,
                type(error).__name__,
                error,
            )
