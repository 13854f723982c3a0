"""Which queues a server serves, as entries: names, and patterns in which * stands for any text.

    ["default", "mail-*"]          all alike, by priority
    {"default": 3, "mail-*": 1}    sharing the Workers by these weights

Pure: what queues there are comes in as names.
"""

import re
from collections.abc import Collection, Iterable

Queues = list[str] | dict[str, int] | None  # None: all

LONGEST_NAME = 100
ANY_TEXT = "*"


def is_pattern(entry: str) -> bool:
    """Tell whether an entry stands for any number of queues."""
    return ANY_TEXT in entry


def regex_of(entries: Iterable[str]) -> str:
    """Return a regular expression for queues of these entries.

    Python and all databases read it alike, also where a name has several lines.
    """
    return f"(?s)^(?:{'|'.join(map(_regex, entries))})(?!.)"


def entry_of(queue: str, entries: Collection[str]) -> str | None:
    """Return the first entry that a queue is of, or else the first that differs in case only.

    A database that ignores case may name several queues by the spelling of one of them.
    """
    for flags in (0, re.IGNORECASE):
        for entry in entries:
            if re.match(regex_of([entry]), queue, flags):
                return entry
    return None


def adds_to(others: Collection[str] | None, entries: Collection[str] | None) -> bool:
    """Tell whether who serves `others` may take queues that these entries do not stand for."""
    if entries is None or others is None:
        return entries is not None
    return any(entry_of(other, entries) is None for other in others)


def may_share(one: Collection[str] | None, other: Collection[str] | None) -> bool:
    """Tell whether there may be queues that entries of both stand for; two patterns always may."""
    if one is None or other is None:
        return True
    return any(
        entry_of(entry, other) is not None
        or (is_pattern(entry) and (any(map(is_pattern, other)) or _stands_for_any(entry, other)))
        for entry in one
    )


def check_entry(entry: str) -> None:
    """Raise ValueError for what no queue can be of."""
    literal = entry.replace(ANY_TEXT, "")
    literal.encode()  # half a surrogate pair, which no database takes, has no encoding
    if len(literal) > LONGEST_NAME or "\0" in literal:
        raise ValueError(entry)


def described(queues: Collection[str] | None) -> str:
    """Return the entries as a person reads them, and as `leek_server --queues` takes them."""
    if queues is None:
        return "all queues"
    weights = queues if isinstance(queues, dict) else {}
    shown = (f"{entry}={weights[entry]}" if entry in weights else entry for entry in queues)
    return f"queues {', '.join(shown)}"


def _stands_for_any(pattern: str, names: Collection[str]) -> bool:
    return any(entry_of(name, [pattern]) for name in names)


def _regex(entry: str) -> str:
    return ".*".join(map(re.escape, entry.split(ANY_TEXT)))
