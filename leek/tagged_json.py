"""JSON that gives every value back exactly: its type, its order, its last digit.

What JSON has is written as it is. What it lacks is an object with one key, a tag::

    date(2026, 12, 24)            {"$date": "2026-12-24"}
    time(12, 30)                  {"$time": "12:30:00"}
    datetime(2026, 12, 24, 12)    {"$datetime": "2026-12-24T12:00:00"}
    the same in Berlin            {"$datetime": ["2026-12-24T12:00:00", "Europe/Berlin", 0]}
    timedelta(days=1, seconds=2)  {"$timedelta": [1, 2, 0]}
    UUID(int=1)                   {"$uuid": "00000000-0000-0000-0000-000000000001"}
    Decimal("1.10")               {"$decimal": "1.10"}
    b"leek"                       {"$bytes": "bGVlaw=="}
    (1, 2)                        {"$tuple": [1, 2]}
    {1}                           {"$set": [1]}

A dictionary with a key that begins with $ could be taken for a tag, and has one of its own::

    {"$date": "today"}            {"$dict": [["$date", "today"]]}

Anything else is refused, also subclasses of these types.
"""

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo


class NotExact(Exception):
    """JSON cannot hold this value so that it comes back the same."""


def encode(value: Any) -> str:
    """Return a value as text that every database stores; raise NotExact, with the reason."""
    try:
        return _text(_tagged(value))
    except RecursionError as error:
        raise NotExact("it contains itself, or is nested too deeply") from error


def decode(text: str) -> Any:
    """Return what `encode` was given; raise ValueError where the text is of another format."""
    try:
        return json.loads(text, object_hook=_untagged) if '"$' in text else json.loads(text)
    except (TypeError, ArithmeticError, LookupError, RecursionError) as error:
        raise ValueError(str(error)) from error


# Writing

_encode = json.JSONEncoder(ensure_ascii=False).encode
_encode_ascii = json.JSONEncoder().encode


def _text(tagged: Any) -> str:
    try:
        text = _encode(tagged)
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate: no database stores it
        text = _encode_ascii(tagged)
        if json.loads(text) != tagged:
            raise NotExact("JSON would join two halves of a surrogate pair") from None
    except ValueError as error:  # an integer of thousands of digits
        raise NotExact(str(error)) from error
    return text


def _tagged(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (str, int, bool) or (kind is float and math.isfinite(value)):
        return value
    if kind is list:
        return [_tagged(item) for item in value]
    if kind is dict:
        return _tagged_dict(value)
    if kind not in _ENCODERS:
        what = repr(value) if kind is float else f"{kind.__module__}.{kind.__qualname__}"
        raise NotExact(f"JSON cannot hold {what} exactly")
    tag, encode = _ENCODERS[kind]
    return {tag: encode(value)}


def _tagged_dict(value: dict[Any, Any]) -> dict[str, Any]:
    tagged = {}
    like_a_tag = False
    for key, item in value.items():
        if type(key) is not str:
            raise NotExact("JSON cannot hold keys that are not text")
        like_a_tag = like_a_tag or key.startswith("$")
        tagged[key] = _tagged(item)
    return {"$dict": [[key, item] for key, item in tagged.items()]} if like_a_tag else tagged


def _datetime_to_json(value: datetime) -> Any:
    if isinstance(value.tzinfo, ZoneInfo) and value.tzinfo.key:
        return [value.replace(tzinfo=None, fold=0).isoformat(), value.tzinfo.key, value.fold]
    text = value.isoformat()
    known = type(value.tzinfo) in (type(None), timezone)
    if value.fold or not known or repr(datetime.fromisoformat(text)) != repr(value):
        raise NotExact("JSON cannot hold this time zone exactly")
    return text


def _time_to_json(value: time) -> str:
    if value.fold or value.tzinfo is not None:
        raise NotExact("JSON cannot hold this time exactly")
    return value.isoformat()


_ENCODERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    datetime: ("$datetime", _datetime_to_json),
    date: ("$date", date.isoformat),
    time: ("$time", _time_to_json),
    timedelta: ("$timedelta", lambda delta: [delta.days, delta.seconds, delta.microseconds]),
    UUID: ("$uuid", str),
    Decimal: ("$decimal", str),
    bytes: ("$bytes", lambda raw: b64encode(raw).decode("ascii")),
    tuple: ("$tuple", lambda items: [_tagged(item) for item in items]),
    set: ("$set", lambda items: [_tagged(item) for item in items]),
}


# Reading


def _untagged(document: dict[str, Any]) -> Any:
    if len(document) == 1:
        ((tag, value),) = document.items()
        if tag in _DECODERS:
            return _DECODERS[tag](value)
    return document


def _datetime_from_json(value: Any) -> datetime:
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    naive, zone, fold = value
    return datetime.fromisoformat(naive).replace(tzinfo=ZoneInfo(zone), fold=fold)


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "$datetime": _datetime_from_json,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$timedelta": lambda parts: timedelta(*parts),
    "$uuid": UUID,
    "$decimal": Decimal,
    "$bytes": b64decode,
    "$tuple": tuple,
    "$set": set,
    "$dict": dict,
}
