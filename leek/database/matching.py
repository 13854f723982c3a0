"""Conditions on texts that all databases hold alike."""

from collections.abc import Collection

from django.db import connections
from django.db.models import Q

from leek.queues import is_pattern, regex_of


def is_of(alias: str, column: str, entries: Collection[str]) -> Q:
    """Return the condition that a column has one of these names, or is like one of these patterns.

    Case counts: where the database takes "A" for "a" the names it has found are looked at again.
    """
    names = [entry for entry in entries if not is_pattern(entry)]
    patterns = [entry for entry in entries if is_pattern(entry)]
    condition = Q(**{f"{column}__in": names})
    if names and connections[alias].vendor == "mysql":
        condition &= Q(**{f"{column}__regex": regex_of(names)})
    if patterns:
        condition |= Q(**{f"{column}__regex": regex_of(patterns)})
    return condition


def is_among(alias: str, text: str, others: Collection[str]) -> bool:
    """Tell whether the database takes a text for one of the others: on some "A" is "a"."""
    if connections[alias].vendor == "mysql":
        return text.casefold() in map(str.casefold, others)
    return text in others
