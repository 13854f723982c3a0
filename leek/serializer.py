"""Task <-> signed payload, and return value <-> signed text.

What JSON can hold exactly is stored as readable JSON, with tags for what it lacks::

    {"callable": "shop.tasks.remind", "args": [42], "kwargs": {"on": {"$date": "2026-12-24"}}}

Anything else that pickles is stored as a pickle, in base64. The callable is readable all the same::

    {"callable": "shop.tasks.remind", "pickle": "gASVKwAAAAAAAAB9lIwH..."}

Either is followed by a colon and a signature made by `django.core.signing` with the site's
SECRET_KEY. The signature is verified before anything is imported or unpickled, so that who can
write the table still cannot run code.
"""

import json
import math
import pickle
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.core.signing import BadSignature, Signer

from leek.exceptions import CallableNotFound, InvalidPayload, InvalidTask, ResultNotStored
from leek.task import Task, find

_SALT = "leek.payload"
_AS_JSON = ("auto", "json")
_PICKLE_REFUSED = 'it holds a pickle, which TASKS_QUEUE["SERIALIZER"] = "json" refuses to read'


def dump_task(path: str, args: Sequence[Any], kwargs: Mapping[str, Any], mode: str) -> str:
    """Return the signed payload of a task; `mode` is the setting SERIALIZER.

    Raise InvalidTask, naming the argument, where one cannot be stored.
    """
    if mode in _AS_JSON:
        try:
            arguments = {"args": _to_json(list(args)), "kwargs": _to_json(dict(kwargs))}
            return _sign(_json({"callable": path, **arguments}))
        except _NotExact as error:
            if mode == "json":
                raise InvalidTask(f"{path}: {_locate(args, kwargs, _check_json)}") from error
    try:
        pickled = _pickle((tuple(args), dict(kwargs)))
    except Exception as error:
        raise InvalidTask(f"{path}: {_locate(args, kwargs, _pickle)}") from error
    return _sign(_json({"callable": path, "pickle": pickled}))


def load_task(payload: str, mode: str) -> Task:
    """Return the task of a payload; `mode` is the setting SERIALIZER.

    Raise InvalidPayload where it must not or cannot be read, CallableNotFound where the callable,
    or a class among the arguments, does not import here.
    """
    document = _verified(payload)
    try:
        path = document["callable"]
        if "pickle" not in document:
            return Task(find(path), tuple(document["args"]), document["kwargs"])
    except KeyError as error:
        raise InvalidPayload(f"the payload has no {error}") from error
    a_callable = find(path)
    args, kwargs = _unpickle(document["pickle"], mode)
    return Task(a_callable, args, kwargs)


def dump_value(value: Any, mode: str) -> str | None:
    """Return a return value as signed text, None for None.

    A value that cannot be stored never fails the task: `load_value` tells of it.
    """
    if value is None:
        return None
    if mode in _AS_JSON:
        try:
            return _sign(_json({"value": _to_json(value)}))
        except _NotExact as error:
            if mode == "json":
                return _sign(_json({"lost": str(error)}))
    try:
        return _sign(_json({"pickle": _pickle(value)}))
    except Exception as error:  # noqa: BLE001 (any class may pickle badly)
        return _sign(_json({"lost": f"{type(error).__name__}: {error}"}))


def load_value(text: str | None, mode: str) -> Any:
    """Return what `dump_value` was given; raise ResultNotStored where it could not be stored."""
    if text is None:
        return None
    document = _verified(text)
    if "lost" in document:
        raise ResultNotStored(f"The task succeeded, but its result is lost: {document['lost']}")
    return document["value"] if "value" in document else _unpickle(document["pickle"], mode)


# Signed text


def _sign(text: str) -> str:
    return Signer(salt=_SALT).sign(text)


def _verified(text: str) -> dict[str, Any]:
    try:
        document = _from_json(Signer(salt=_SALT).unsign(text))
    except BadSignature:
        raise InvalidPayload(
            "the payload is damaged, or was signed with another SECRET_KEY"
            " (put a former one into SECRET_KEY_FALLBACKS)"
        ) from None
    except (ValueError, TypeError, ArithmeticError, LookupError) as error:
        raise InvalidPayload(f"the payload cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise InvalidPayload("the payload is not of leek's format")
    return document


# Pickle


def _pickle(value: Any) -> str:
    return b64encode(pickle.dumps(value)).decode("ascii")


def _unpickle(text: str, mode: str) -> Any:
    if mode == "json":
        raise InvalidPayload(_PICKLE_REFUSED)
    try:
        return pickle.loads(b64decode(text))  # noqa: S301 (the signature was verified)
    except (ImportError, AttributeError) as error:
        raise CallableNotFound(f"an argument does not import: {error}") from error
    except Exception as error:
        raise InvalidPayload(f"the pickle cannot be read: {error!r}") from error


# JSON with tags


class _NotExact(Exception):
    """JSON cannot hold this value so that it comes back the same."""


_encode = json.JSONEncoder(ensure_ascii=False).encode
_encode_ascii = json.JSONEncoder().encode


def _json(document: dict[str, Any]) -> str:
    try:
        text = _encode(document)
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate: no database stores it
        text = _encode_ascii(document)
        if json.loads(text) != document:
            raise _NotExact("JSON would join two halves of a surrogate pair") from None
    except ValueError as error:  # an integer of thousands of digits
        raise _NotExact(str(error)) from error
    return text


def _to_json(value: Any) -> Any:
    try:
        return _tagged(value)
    except RecursionError as error:
        raise _NotExact("it contains itself, or is nested too deeply") from error


def _check_json(value: Any) -> None:
    _json({"value": _to_json(value)})


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
        raise _NotExact(f"JSON cannot hold {what} exactly")
    tag, encode = _ENCODERS[kind]
    return {tag: encode(value)}


def _tagged_dict(value: dict[Any, Any]) -> dict[str, Any]:
    if not all(type(key) is str for key in value):
        raise _NotExact("JSON cannot hold keys that are not text")
    if any(key.startswith("$") for key in value):  # or it would be taken for a tag
        return {"$dict": [[key, _tagged(item)] for key, item in value.items()]}
    return {key: _tagged(item) for key, item in value.items()}


def _datetime_to_json(value: datetime) -> Any:
    if isinstance(value.tzinfo, ZoneInfo) and value.tzinfo.key:
        return [value.replace(tzinfo=None, fold=0).isoformat(), value.tzinfo.key, value.fold]
    text = value.isoformat()
    known = type(value.tzinfo) in (type(None), timezone)
    if value.fold or not known or repr(datetime.fromisoformat(text)) != repr(value):
        raise _NotExact("JSON cannot hold this time zone exactly")
    return text


def _datetime_from_json(value: Any) -> datetime:
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    naive, zone, fold = value
    return datetime.fromisoformat(naive).replace(tzinfo=ZoneInfo(zone), fold=fold)


def _time_to_json(value: time) -> str:
    if value.fold or value.tzinfo is not None:
        raise _NotExact("JSON cannot hold this time exactly")
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


def _from_json(text: str) -> Any:
    return json.loads(text, object_hook=_untagged) if '"$' in text else json.loads(text)


def _untagged(document: dict[str, Any]) -> Any:
    if len(document) == 1:
        ((tag, value),) = document.items()
        if tag in _DECODERS:
            return _DECODERS[tag](value)
    return document


# Naming the argument that cannot be stored


def _locate(args: Sequence[Any], kwargs: Mapping[str, Any], store: Callable[[Any], object]) -> str:
    """Return a sentence that names the smallest part of the arguments that `store` refuses."""
    named = [(f"args[{index}]", value) for index, value in enumerate(args)]
    named += _parts("kwargs", dict(kwargs))
    return _locate_among(named, store) or "the arguments cannot be stored together"


def _locate_among(
    named: list[tuple[str, Any]], store: Callable[[Any], object], depth: int = 20
) -> str | None:
    for where, value in named:
        try:
            store(value)
        except Exception as error:  # noqa: BLE001 (likewise)
            inner = _locate_among(_parts(where, value), store, depth - 1) if depth else None
            return inner or f"{where}: {error}"
    return None


def _parts(where: str, value: object) -> list[tuple[str, Any]]:
    match value:
        case dict():
            return [
                (f'{where}["{key}"]' if isinstance(key, str) else f"{where}[{key!r}]", item)
                for key, item in value.items()
            ]
        case list() | tuple():
            return [(f"{where}[{index}]", item) for index, item in enumerate(value)]
        case set() | frozenset():
            return [(f"an element of {where}", item) for item in value]
    return []
