"""What a task is called with, for people to read: without secrets, and without running it.

The signature of a payload is verified first: nothing is shown of one that somebody may have
changed. What is a pickle is then unpickled, as the task's run would, unless SERIALIZER is "json".
"""

import inspect
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from leek import serializer
from leek.conf import config
from leek.exceptions import CallableNotFound, InvalidPayload, ResultNotStored
from leek.redacting import LONGEST_TEXT, Redaction
from leek.signing import verified
from leek.task import find

MOST_LINES = 100  # arguments of each kind that are shown
MAIL = "leek.mail.deliver"  # the callable that sends the mails of the site

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_MAIL_HEADERS = ("subject", "from_email", "to", "cc", "bcc", "reply_to")


class Line(NamedTuple):
    """A name, and what it stands for as text."""

    name: str
    text: str


@dataclass(frozen=True)
class Arguments:
    """The callable of a task and what it is called with; or the `problem` why that is not shown.

    Positional arguments have the names of their parameters, where the callable imports and takes
    them; else their positions. `mail` has the headers of a mail, which is then not among `kwargs`.
    """

    path: str = ""
    args: Sequence[Line] = ()
    kwargs: Sequence[Line] = ()
    options: Sequence[Line] = ()
    context: Sequence[Line] = ()
    mail: Sequence[Line] = ()
    problem: str = ""


@dataclass(frozen=True)
class _Content:
    """What a payload holds."""

    path: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    takes_context: bool = False


def arguments_of(payload: str) -> Arguments:
    """Return what a task is called with; never raise because of what the payload holds."""
    try:
        verified(payload)
    except InvalidPayload:
        return Arguments(problem=_not_verified())
    try:
        return _shown(_content(payload), Redaction(config.REDACT))
    except (InvalidPayload, CallableNotFound) as error:
        return Arguments(problem=_not_read(error))


def readable(payload: str) -> str:
    """Return what a task is called with as one text to search in; empty if it cannot be shown."""
    shown = arguments_of(payload)
    lines = [*shown.args, *shown.kwargs, *shown.mail, *shown.context]
    texts = [f"{line.name}={line.text}" for line in lines]
    return "\n".join([shown.path, *texts]) if shown.path else ""


def result_of(stored: str | None) -> str:
    """Return what a task has returned, as text; a sentence where that cannot be shown."""
    try:
        return Redaction(config.REDACT).text_of(serializer.load_value(stored, config.SERIALIZER))
    except ResultNotStored as error:
        return str(error)
    except (InvalidPayload, CallableNotFound) as error:
        return _not_read(error)


def _not_verified() -> str:
    return _(
        "The arguments cannot be verified, and are not shown: the payload is damaged, or was signed"
        " with another SECRET_KEY."
    )


def _not_read(error: Exception) -> str:
    return _("It cannot be read: %(error)s") % {"error": str(error)[:LONGEST_TEXT]}


def _content(payload: str) -> _Content:
    """Return what a payload holds; import nothing, unless it is a pickle."""
    document = serializer.document_of(payload)
    try:
        path = document["callable"]
        if "pickle" in document:
            args, kwargs = serializer.unpickled(document["pickle"], config.SERIALIZER)
        else:
            args, kwargs = document["args"], document["kwargs"]
    except KeyError as error:
        raise InvalidPayload(f"the payload has no {error}") from error
    return _Content(
        path=config.ALIASES.get(path, path),
        args=args,
        kwargs=kwargs,
        options=document.get("options", {}),
        context=document.get("context", {}),
        takes_context=bool(document.get("enqueued", {}).get("takes_context")),
    )


def _shown(content: _Content, redaction: Redaction) -> Arguments:
    names, is_called_so = _parameters(content)
    args = [
        Line(
            names[number] if is_called_so else f"args[{number}]",
            redaction.shown(names[number], value),
        )
        for number, value in enumerate(content.args[:MOST_LINES])
    ]
    mail = _mail(content, redaction)
    others = {name: value for name, value in content.kwargs.items() if name != "message"}
    return Arguments(
        content.path,
        [*args, *_more(content.args)],
        _lines(others if mail else content.kwargs, redaction),
        _lines(content.options, redaction),
        _lines(content.context, redaction),
        mail,
    )


def _lines(values: Mapping[str, Any], redaction: Redaction) -> list[Line]:
    shown = [*islice(values.items(), MOST_LINES)]
    lines = [Line(str(name), redaction.shown(name, value)) for name, value in shown]
    return [*lines, *_more(values)]


def _more(values: Sized) -> list[Line]:
    """Return a line that tells how many are not shown, if there are any."""
    number = len(values) - MOST_LINES
    text = ngettext("%(number)d more", "%(number)d more", number) % {"number": number}
    return [Line("…", text)] if number > 0 else []


def _parameters(content: _Content) -> tuple[list[str], bool]:
    """Return a name for each positional argument, and whether the callable takes them all.

    Where it does not, what it calls them still tells which are secret.
    """
    positions = [f"args[{number}]" for number in range(len(content.args))]
    try:
        signature = inspect.signature(find(content.path))
    except (Exception, SystemExit):  # noqa: BLE001 (an import may end in anything)
        return positions, False
    before = (None,) if content.takes_context else ()
    names = [each.name for each in signature.parameters.values() if each.kind in _POSITIONAL]
    names = names[len(before) : len(before) + len(positions)]
    kinds = {each.kind: each.name for each in signature.parameters.values()}
    rest = kinds.get(inspect.Parameter.VAR_POSITIONAL, "args")
    names += [f"{rest}[{number}]" for number in range(len(positions) - len(names))]
    try:
        signature.bind(*before, *content.args, **content.kwargs)
    except TypeError:
        return names, False
    return names, True


def _mail(content: _Content, redaction: Redaction) -> list[Line]:
    """Return what a mail is about; not what it says, which may be a link to a new password."""
    message = content.kwargs.get("message") if content.path == MAIL else None
    if not isinstance(message, dict) or not isinstance(message.get("attributes"), dict):
        return []
    values = message["attributes"]
    lines = [
        Line(name, _plain(values[name], redaction)) for name in _MAIL_HEADERS if values.get(name)
    ]
    if isinstance(body := values.get("body"), str):
        lines.append(Line("body", _("%(number)d characters") % {"number": len(body)}))
    if attached := values.get("attachments"):
        lines.append(Line("attachments", str(len(attached))))
    return lines


def _plain(value: Any, redaction: Redaction) -> str:
    """Return a header as it would stand in the mail."""
    each = value if isinstance(value, list | tuple) else [value]
    texts = [one if isinstance(one, str) else redaction.text_of(one) for one in each]
    text = ", ".join(texts)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
