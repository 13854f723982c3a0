"""Values as text for people: cut at a sensible length, and without what is secret in them."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.db.models import Model
from django.utils.translation import gettext as _

REDACTED = "********"
LONGEST_TEXT = 2_000  # characters of one value
DEEPEST = 20  # containers in containers

_BRACKETS = {tuple: ("(", ")"), set: ("{", "}"), frozenset: ("frozenset({", "})")}
_SEQUENCES = (list, tuple, set, frozenset, deque)


class Redaction:
    """Shows values. What has a name that contains one of these words is not shown.

    Neither case nor separators matter: "api key" is in "X-API-Key", "api_key" and "apiKeys".
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._words = [bare for bare in map(_bare, words) if bare]

    def hides(self, name: object) -> bool:
        """Tell whether what has this name is secret."""
        if isinstance(name, bytes):
            name = name.decode("utf-8", "replace")
        bare = _bare(name) if isinstance(name, str) else ""
        return any(word in bare for word in self._words)

    def shown(self, name: object, value: object) -> str:
        """Return the value that has this name as text."""
        return REDACTED if self.hides(name) else self.text_of(value)

    def text_of(self, value: object) -> str:
        """Return a value much as `repr` does; where that fails, a sentence that says so."""
        text = ""
        try:
            for piece in self._pieces(value, DEEPEST):
                text += piece
                if len(text) > LONGEST_TEXT:
                    return f"{text[:LONGEST_TEXT]}…"
        except (Exception, SystemExit) as error:  # noqa: BLE001 (any class may refuse to be shown)
            return _("cannot be shown: %(error)s") % {"error": type(error).__name__}
        return text

    def _pieces(self, value: Any, depth: int) -> Iterator[str]:
        """Yield the text part by part, so that nothing is made of what is cut off."""
        if isinstance(value, str | bytes):
            yield repr(value[: LONGEST_TEXT + 1])
        elif not depth:
            yield "…"
        elif isinstance(value, Mapping):
            yield from self._mapping(value, depth)
        elif isinstance(value, _SEQUENCES) and not hasattr(value, "_fields"):
            yield from self._sequence(value, depth)
        elif (fields := _fields_of(value)) and self._has_secret(fields, depth, set()):
            yield f"{type(value).__name__}("
            for name, item in fields.items():
                yield f"{name}="
                yield from self._item(name, item, depth)
                yield ", "
            yield ")"
        else:
            yield repr(value)

    def _item(self, name: object, value: Any, depth: int) -> Iterator[str]:
        if self.hides(name):
            yield REDACTED
        else:
            yield from self._pieces(value, depth - 1)

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> Iterator[str]:
        yield "{"
        for number, (key, item) in enumerate(value.items()):
            yield ", " if number else ""
            yield from self._pieces(key, depth - 1)
            yield ": "
            yield from self._item(key, item, depth)
        yield "}"

    def _sequence(self, value: Iterable[Any], depth: int) -> Iterator[str]:
        opening, closing = _BRACKETS.get(type(value), ("[", "]"))
        yield opening
        number = 0
        for number, item in enumerate(value, start=1):
            yield ", " if number > 1 else ""
            yield from self._pieces(item, depth - 1)
        yield f",{closing}" if number == 1 and closing == ")" else closing

    def _has_secret(self, value: Any, depth: int, seen: set[int]) -> bool:
        """Tell whether something secret is in a value, be it as an attribute."""
        if id(value) in seen or not depth or isinstance(value, str | bytes | int | float):
            return False
        seen.add(id(value))
        named = value if isinstance(value, Mapping) else _fields_of(value)
        if any(map(self.hides, named)):
            return True
        items = value if isinstance(value, _SEQUENCES) else named.values()
        return any(self._has_secret(item, depth - 1, seen) for item in items)


def _bare(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def _fields_of(value: Any) -> dict[str, Any]:
    """Return the attributes of an object that its `repr` may tell of; a model's tells no fields."""
    if isinstance(value, Model | type) or callable(value):
        return {}
    if isinstance(value, tuple):
        return dict(zip(getattr(value, "_fields", ()), value, strict=False))
    slots = [slot for kind in type(value).__mro__ for slot in _slots_of(kind)]
    named = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return named | getattr(value, "__dict__", {})


def _slots_of(kind: type) -> list[str]:
    slots = vars(kind).get("__slots__", ())
    return [slots] if isinstance(slots, str) else [*slots]
