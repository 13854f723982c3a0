"""Task <-> signed payload, and return value <-> signed text.

What JSON can hold exactly is stored as readable JSON, with tags for what it lacks (see
`tagged_json`)::

    {"callable": "shop.tasks.remind", "args": [42], "kwargs": {"on": {"$date": "2026-12-24"}}}

Anything else that pickles is stored as a pickle, in base64. The callable is readable all the same::

    {"callable": "shop.tasks.remind", "pickle": "gASVKwAAAAAAAAB9lIwH..."}

Where the push has said how the task is to be tried, or was made in a context that the task is to
have as well, the head of the document tells of it::

    {"callable": "shop.tasks.remind", "options": {"max_retries": 5}, "context": {...}, "args": ...

So it does of a task that was enqueued by way of Django's framework, which has no pickles::

    {"callable": "shop.tasks.remind", "enqueued": {"backend": "default", ...}, "args": ...

A return value is one of these, the last where it cannot be stored::

    {"value": {"$date": "2026-12-24"}}
    {"pickle": "gASVKwAAAAAAAAB9lIwH..."}
    {"lost": "TypeError: cannot pickle 'generator' object"}

Each is followed by a colon and a signature made with the site's SECRET_KEY (see `signing`). The
signature is verified before anything is imported or unpickled, so that who can write the table
still cannot run code.
"""

import pickle
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from traceback import walk_tb
from types import FunctionType
from typing import Any

from leek.culprits import culprit, reason_of
from leek.exceptions import CallableNotFound, InvalidPayload, InvalidTask, ResultNotStored
from leek.signing import sign, verified
from leek.tagged_json import NotExact, decode, encode
from leek.task import Task, find

LONGEST_RESULT = 4_000_000  # characters, of up to 4 bytes: MariaDB takes 16 MB at once by default

_AS_JSON = ("auto", "json")
_PICKLE_REFUSED = 'it holds a pickle, which TASKS_QUEUE["SERIALIZER"] = "json" refuses to read'


def dump_task(
    path: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    mode: str,
    *,
    options: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    enqueued: Mapping[str, Any] | None = None,
) -> str:
    """Return the signed payload of a task; `mode` is the setting SERIALIZER.

    Raise InvalidTask, naming the argument, where one cannot be stored.
    """
    arguments = {"args": list(args), "kwargs": dict(kwargs)}
    head: dict[str, Any] = {"callable": path}
    if options:
        head["options"] = options
    if context:
        head["context"] = context
    if enqueued:
        head["enqueued"] = enqueued
    try:
        document = _document(head, arguments, (tuple(args), dict(kwargs)), mode)
    except Exception as error:
        refused = culprit(arguments, encode if mode == "json" else _pickle)
        raise InvalidTask(f"{path}: {refused}") from error
    return sign(document)


def load_task(payload: str, mode: str, aliases: Mapping[str, str] | None = None) -> Task:
    """Return the task of a payload; `mode` and `aliases` are the settings SERIALIZER and ALIASES.

    Raise InvalidPayload where it must not or cannot be read, CallableNotFound where the callable,
    or a class or model among the arguments, does not import here.
    """
    document = document_of(payload)
    try:
        path = (aliases or {}).get(document["callable"], document["callable"])
        said = document.get("options", {}), document.get("context", {})
        if "pickle" not in document:
            arguments = tuple(document["args"]), document["kwargs"]
            return Task(find(path), *arguments, *said, path, document.get("enqueued"))
    except KeyError as error:
        raise InvalidPayload(f"the payload has no {error}") from error
    a_callable = find(path)
    args, kwargs = unpickled(document["pickle"], mode)
    return Task(a_callable, args, kwargs, *said, path)


def dump_value(value: Any, mode: str) -> str | None:
    """Return a return value as signed text, None for None.

    A value that cannot be stored, or is too long, never fails the task: `load_value` tells of it.
    """
    if value is None:
        return None
    try:
        text = sign(_document({}, {"value": value}, value, mode))
    except NotExact as error:
        return _lost(reason_of(error))
    except Exception as error:  # noqa: BLE001 (any class may pickle badly)
        return _lost(f"{type(error).__name__}: {reason_of(error)}")
    if len(text) > LONGEST_RESULT:
        return _lost(_too_long(text))
    return text


def dump_exactly(value: Any) -> str | None:
    """Return a value that JSON holds as signed text, None for None; `load_value` reads it.

    Raise ValueError where it is too long.
    """
    if value is None:
        return None
    text = sign(encode({"value": value}))
    if len(text) > LONGEST_RESULT:
        raise ValueError(_too_long(text))
    return text


def load_value(text: str | None, mode: str) -> Any:
    """Return what `dump_value` was given; raise ResultNotStored where it could not be stored."""
    if text is None:
        return None
    document = document_of(text)
    if "lost" in document:
        raise ResultNotStored(f"The task succeeded, but its result is lost: {document['lost']}")
    return document["value"] if "value" in document else unpickled(document["pickle"], mode)


def _document(head: dict[str, Any], in_json: dict[str, Any], in_pickle: Any, mode: str) -> str:
    if mode in _AS_JSON:
        try:
            return encode(head | in_json)
        except Exception:
            if mode == "json":
                raise
    return encode(head | {"pickle": _pickle(in_pickle)})


def _too_long(text: str) -> str:
    return f"it is {len(text):,} characters long, more than the {LONGEST_RESULT:,} that are kept"


def _lost(reason: str) -> str:
    return sign(encode({"lost": reason}))


def document_of(signed: str) -> dict[str, Any]:
    """Return the document of a text whose signature is verified; raise InvalidPayload.

    Nothing is imported or unpickled for that.
    """
    try:
        document = decode(verified(signed))
    except ValueError as error:
        raise InvalidPayload(f"the payload cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise InvalidPayload("the payload is not of leek's format")
    return document


# Pickle


class _Pickler(pickle.Pickler):
    """Refuses classes and functions that no other process could import."""

    def reducer_override(self, value: Any) -> Any:
        """Leave everything else to pickle."""
        if isinstance(value, type | FunctionType) and (
            value.__module__ == "__main__" or "<locals>" in value.__qualname__
        ):
            raise pickle.PicklingError(
                f"{value.__module__}.{value.__qualname__} cannot be imported elsewhere."
                " Move it to the top level of an importable module."
            )
        return NotImplemented


def _pickle(value: Any) -> str:
    buffer = BytesIO()
    _Pickler(buffer).dump(value)
    return b64encode(buffer.getvalue()).decode("ascii")


def unpickled(text: str, mode: str) -> Any:
    """Return what a verified document has pickled; raise as `load_task` does."""
    if mode == "json":
        raise InvalidPayload(_PICKLE_REFUSED)
    try:
        return pickle.loads(b64decode(text))  # noqa: S301 (the signature was verified)
    except (Exception, SystemExit) as error:  # a class may import anything
        if isinstance(error, ImportError | AttributeError) or _lacks_model(error):
            raise CallableNotFound(f"an argument does not import: {reason_of(error)}") from error
        raise InvalidPayload(
            f"the pickle cannot be read: {type(error).__name__}: {reason_of(error)}"
        ) from error


def _lacks_model(error: BaseException) -> bool:
    """Tell whether Django's registry of apps did not find the model of an instance."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    in_registry = frame.f_globals.get("__name__", "").startswith("django.apps.")
    return type(error) is LookupError and in_registry
