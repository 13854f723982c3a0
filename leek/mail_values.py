"""A mail <-> values, as far as possible such that JSON holds them: what `leek.mail` pushes.

A message is its class and its attributes; `made` is what Django would make anew whenever the
message is built::

    {"class": "django.core.mail.message.EmailMessage",
     "made": {"Date": "Thu, 24 Dec 2026 08:00:00 -0000", "Message-ID": "<1...@shop.example>"},
     "attributes": {"subject": "Hello", "to": ["ann@example.com"], ...}}

What JSON lacks is a dictionary with one key, a tag::

    EmailAttachment("a.txt", "Hi", "text/plain")  {"@attachment": ["a.txt", "Hi", "text/plain"]}
    EmailAlternative("<p>Hi", "text/html")        {"@alternative": ["<p>Hi", "text/html"]}
    a message as an attachment                    {"@message": {"class": ..., ...}}
    a part of a MIME message                      {"@part": {"class": ..., ...}}
    a Charset                                     {"@charset": {"input_charset": ..., ...}}
    a dictionary that could be taken for one      {"@dict": [["@part", 1]]}

Lazy texts become texts. What is none of these is left to the serializer: to pickle, as a rule.
"""

from collections.abc import Callable, Mapping
from email.charset import Charset
from email.message import Message
from typing import Any

from django.core.mail import EmailAlternative, EmailAttachment, EmailMessage
from django.utils.functional import Promise

from leek.exceptions import InvalidPayload, InvalidTask
from leek.mail_parts import part_of, values_of_part
from leek.task import find, path_of

_MADE = ("Date", "Message-ID")
_CONNECTION = "_connection" if hasattr(EmailMessage, "connection") else "connection"
_NOT_OF_IT = {"connection", "_connection"}  # what the message is to be sent by


class Dated:
    """Builds a message with the date and id that it was pushed with, in place of its own method.

    They are in the message's headers only as long as it is built, because backends that do not
    build it would take them for headers that the site has asked for.
    """

    def __init__(self, message: EmailMessage, made: Mapping[str, str]) -> None:
        self._message = message
        self._made = dict(made)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the MIME message."""
        message = self._message
        headers = message.extra_headers
        message.extra_headers = {**self._made, **headers}
        try:
            return type(message).message(message, *args, **kwargs)
        finally:
            message.extra_headers = headers


def values_of(message: EmailMessage) -> dict[str, Any]:
    """Return a message as values, with a date and an id; the message stays as it is.

    Raise what building it raises, and InvalidTask where its class cannot be found by its name.
    """
    try:
        return _values_of(message)
    except RecursionError as error:
        raise InvalidTask("The mail contains itself, or is nested too deeply.") from error


def message_of(values: Mapping[str, Any]) -> EmailMessage:
    """Return the message that `values_of` made these values of."""
    kind = _class_at(values["class"], EmailMessage)
    message: EmailMessage = object.__new__(kind)
    attributes = vars(message)
    attributes.update(_restored(values["attributes"]))
    attributes[_CONNECTION] = None
    if values["made"]:
        attributes["message"] = Dated(message, values["made"])
    return message


def _values_of(message: EmailMessage) -> dict[str, Any]:
    return {
        "class": path_of(type(message)),
        "made": _made(message),
        "attributes": {
            name: _stored(value)
            for name, value in vars(message).items()
            if name not in _NOT_OF_IT and not isinstance(value, Dated)
        },
    }


def _made(message: EmailMessage) -> dict[str, str]:
    """Return the headers that Django makes where the message has none."""
    built: Any = message.message()
    for part in built.walk():
        for name, value in part.raw_items():
            built.policy.fold(name, value)  # what a header cannot hold may show only now
    given = {str(name).lower() for name in message.extra_headers}
    return {name: str(built[name]) for name in _MADE if name.lower() not in given and name in built}


def _class_at(path: str, base: type) -> Any:
    kind = find(path)
    if not isinstance(kind, type) or not issubclass(kind, base):
        raise InvalidPayload(f"{path} is no class of mails or their parts")
    return kind


# Writing


def _stored(value: Any) -> Any:
    if write := _BY_TYPE.get(type(value)):
        return write(value)
    for kind, write in _BY_KIND:
        if isinstance(value, kind):
            return write(value)
    return value


def _stored_dict(value: dict[Any, Any]) -> dict[Any, Any]:
    pairs = [(_stored(key), _stored(item)) for key, item in value.items()]
    if any(isinstance(key, str) and key.startswith("@") for key, _ in pairs):
        return {"@dict": [[key, item] for key, item in pairs]}
    return dict(pairs)


def _stored_text(value: str) -> str:
    """Return a text that is one whichever way it is read as a plain text: safe HTML, say."""
    plain = str.__str__(value)
    return plain if str(value) == plain else value


def _stored_part(value: Message) -> Any:
    values = values_of_part(value)
    if values is None:
        return value
    values["attributes"] = _stored(values["attributes"])
    return {"@part": {"class": path_of(type(value)), **values}}


def _tagged(tag: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {tag: [_stored(item) for item in value]}


_BY_TYPE: dict[type, Callable[[Any], Any]] = {
    dict: _stored_dict,
    list: lambda value: [_stored(item) for item in value],
    tuple: lambda value: tuple(_stored(item) for item in value),
    str: lambda value: value,
    EmailAttachment: _tagged("@attachment"),
    EmailAlternative: _tagged("@alternative"),
    Charset: lambda value: {"@charset": _stored(vars(value))},
}
_BY_KIND: list[tuple[Any, Callable[[Any], Any]]] = [
    (str, _stored_text),
    (Promise, str),
    ((bytearray, memoryview), bytes),
    (EmailMessage, lambda value: {"@message": _values_of(value)}),
    (Message, _stored_part),
]


# Reading


def _restored(value: Any) -> Any:
    if type(value) is dict:
        if len(value) == 1:
            ((tag, content),) = value.items()
            if tag in _READERS:
                return _READERS[tag](content)
        return {key: _restored(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_restored(item) for item in value)
    return value


def _restored_part(values: Mapping[str, Any]) -> Message:
    kind = _class_at(values["class"], Message)
    return part_of(kind, {**values, "attributes": _restored(values["attributes"])})


def _restored_charset(values: Mapping[str, Any]) -> Charset:
    charset = object.__new__(Charset)
    vars(charset).update(values)
    return charset


_READERS: dict[str, Callable[[Any], Any]] = {
    "@attachment": lambda content: EmailAttachment(*map(_restored, content)),
    "@alternative": lambda content: EmailAlternative(*map(_restored, content)),
    "@message": lambda content: message_of(content),
    "@part": _restored_part,
    "@charset": _restored_charset,
    "@dict": lambda content: {key: _restored(item) for key, item in content},
}
