"""Names the part of a value that cannot be stored: `kwargs["when"][0]: JSON cannot hold it`."""

from collections.abc import Callable, Mapping
from typing import Any

LONGEST_REASON = 1_000  # characters of why something cannot be stored or read

_Store = Callable[[Any], object]


def culprit(arguments: Mapping[str, Any], store: _Store) -> str:
    """Return a sentence that names the smallest part of the arguments that `store` refuses."""
    return _first_refused([*arguments.items()], store) or "the arguments cannot be stored together"


def _first_refused(named: list[tuple[str, Any]], store: _Store, depth: int = 20) -> str | None:
    for where, value in named:
        try:
            store(value)
        except Exception as error:  # noqa: BLE001 (any class may refuse badly)
            return _inside(where, value, store, depth) or f"{where}: {reason_of(error)}"
    return None


def _inside(where: str, value: Any, store: _Store, depth: int) -> str | None:
    try:
        return _first_refused(_parts(where, value), store, depth - 1) if depth else None
    except Exception:  # noqa: BLE001 (a key may have no text, a container refuse to be read)
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


def reason_of(error: BaseException) -> str:
    """Return the text of an error, cut, as every database stores it; making it may fail, too."""
    try:
        return str(error)[:LONGEST_REASON].encode("utf-8", "backslashreplace").decode("utf-8")
    except Exception:  # noqa: BLE001 (likewise)
        return "its message cannot be shown"
