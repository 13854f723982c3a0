"""Task <-> signed payload, and return value <-> signed text.

What JSON can hold exactly is stored as readable JSON, with tags for what it lacks (see
`tagged_json`)::

    {"callable": "shop.tasks.remind", "args": [42], "kwargs": {"on": {"$date": "2026-12-24"}}}

Anything else that pickles is stored as a pickle, in base64. The callable is readable all the same::

    {"callable": "shop.tasks.remind", "pickle": "gASVKwAAAAAAAAB9lIwH..."}

Either is followed by a colon and a signature made by `django.core.signing` with the site's
SECRET_KEY. The signature is verified before anything is imported or unpickled, so that who can
write the table still cannot run code.
"""

import pickle
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.core.signing import BadSignature, Signer

from leek.exceptions import CallableNotFound, InvalidPayload, InvalidTask, ResultNotStored
from leek.tagged_json import NotExact, decode, encode
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
            arguments = {"args": list(args), "kwargs": dict(kwargs)}
            return _sign(encode({"callable": path, **arguments}))
        except NotExact as error:
            if mode == "json":
                raise InvalidTask(f"{path}: {_locate(args, kwargs, encode)}") from error
    try:
        pickled = _pickle((tuple(args), dict(kwargs)))
    except Exception as error:
        raise InvalidTask(f"{path}: {_locate(args, kwargs, _pickle)}") from error
    return _sign(encode({"callable": path, "pickle": pickled}))


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
            return _sign(encode({"value": value}))
        except NotExact as error:
            if mode == "json":
                return _sign(encode({"lost": str(error)}))
    try:
        return _sign(encode({"pickle": _pickle(value)}))
    except Exception as error:  # noqa: BLE001 (any class may pickle badly)
        return _sign(encode({"lost": f"{type(error).__name__}: {error}"}))


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
        document = decode(Signer(salt=_SALT).unsign(text))
    except BadSignature:
        raise InvalidPayload(
            "the payload is damaged, or was signed with another SECRET_KEY"
            " (put a former one into SECRET_KEY_FALLBACKS)"
        ) from None
    except ValueError as error:
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
