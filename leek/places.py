"""Places: where servers may be reached, as hosts and ports, and as texts such as "queue1:8003"."""

import re
from functools import lru_cache
from typing import NamedTuple

_IN_BRACKETS = re.compile(r"\[(?P<host>[^\[\]]*)\](?::(?P<port>.*))?")
_PLAIN = re.compile(r"(?P<host>[^:]*)(?::(?P<port>[^:]*))?")
_ODD = re.compile(r"[\s\[\]]")


class Place(NamedTuple):
    """Where a server may be reached."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Entry(NamedTuple):
    """A place as it is written down; `port` is None where none is said."""

    host: str
    port: int | None


@lru_cache(maxsize=8)
def entries_in(text: str) -> tuple[Entry, ...]:
    """Return what a text such as "queue1,[::1]:8003" names; raise ValueError, saying what is wrong.

    Each push asks for this, so the latest answers are kept.
    """
    entries = tuple(map(_entry, text.split(",")))
    for number, entry in enumerate(entries):
        if entry in entries[:number]:
            raise ValueError(f"names {entry.host} twice")
    return entries


def places_in(text: str, port: int) -> list[Place]:
    """Return the places that a text names, in its order; `port` is for those that name none."""
    named = (
        Place(entry.host, port if entry.port is None else entry.port) for entry in entries_in(text)
    )
    return list(dict.fromkeys(named))


def _entry(text: str) -> Entry:
    if not (text := text.strip()):
        raise ValueError("has an empty entry")
    if text.startswith("["):
        found = _IN_BRACKETS.fullmatch(text)
    elif text.count(":") > 1:
        return Entry(_host(text, text), None)  # an IPv6 address has brackets where a port follows
    else:
        found = _PLAIN.fullmatch(text)
    if not found:
        raise ValueError(f'has the entry "{text}", which is neither a host nor a host and its port')
    return Entry(_host(found["host"], text), _port(found["port"], text))


def _host(host: str, entry: str) -> str:
    if not host or _ODD.search(host):
        raise ValueError(f'has the entry "{entry}", which names no host')
    return host


def _port(digits: str | None, entry: str) -> int | None:
    if digits is None:
        return None
    port = int(digits) if re.fullmatch("[0-9]{1,5}", digits) else 0
    if not 1 <= port <= 65_535:
        raise ValueError(f'has the entry "{entry}", whose port is none from 1 to 65535')
    return port
