"""Finds tasks by what they are called and called with.

A payload is text that the database looks through, secrets included. So what it finds only may be a
find: it is one if the words are in what a reader would be shown.
"""

import json
from collections.abc import Iterable, Sequence

from django.db.models import Q

from leek import serializer
from leek.arguments import readable
from leek.exceptions import InvalidPayload


class TextSearch:
    """Words that all have to be in the name or the arguments of a task, whatever their case."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words

    @property
    def in_name(self) -> Q:
        """The condition that all are in the name."""
        return Q(*(Q(name__icontains=word) for word in self._words))

    @property
    def possibly(self) -> Q:
        """The condition of what `finds` has to look at: it may have them, and not by its name.

        A payload begins with the name, so that some words may be there and some in the arguments.
        """
        return Q(*map(_in_payload, self._words)) & ~self.in_name

    def finds(self, tasks: Iterable[tuple[int, str, str]]) -> list[int]:
        """Return the ids of the tasks, given with name and payload, in which all the words are."""
        return [key for key, name, payload in tasks if self._is_in(f"{name}\n{_shown(payload)}")]

    def _is_in(self, text: str) -> bool:
        folded = text.casefold()
        return all(any(form in folded for form in _shown_forms(word)) for word in self._words)


def _in_payload(word: str) -> Q:
    """Return the condition that a payload has a word as JSON writes it.

    Not every database knows the case of letters beyond ASCII, so it is told both.
    """
    found = Q()
    for case in sorted({word} if word.isascii() else {word.lower(), word.upper()}):
        found |= Q(payload__icontains=json.dumps(case, ensure_ascii=False)[1:-1])
    return found


def _shown_forms(word: str) -> set[str]:
    """Return how a word may stand in a value that is shown: as it is, or escaped."""
    escaped = repr(word)[1:-1]
    return {form.casefold() for form in (word, escaped, escaped.replace("'", r"\'"))}


def _shown(payload: str) -> str:
    """Return the arguments as they are shown; nothing of a pickle, which is not run to be found."""
    try:
        is_readable = "pickle" not in serializer.document_of(payload)
    except InvalidPayload:
        return ""
    _path, _, arguments = readable(payload).partition("\n") if is_readable else ("", "", "")
    return arguments
