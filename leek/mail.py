"""A mail backend that pushes: each mail of the site is a task, and another backend sends it.

EMAIL_BACKEND = "leek.mail.EmailBackend"
"""

from collections.abc import Iterable, Mapping
from functools import cached_property, partial
from typing import Any, ClassVar

from django import db
from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.message import sanitize_address
from django.db import transaction

from leek import api
from leek.conf import InvalidSetting
from leek.exceptions import InvalidTask
from leek.mail_values import message_of, values_of
from leek.mailers import (
    PushingBackend,
    behind,
    class_behind,
    has_mailers,
    is_smtp,
    pushing_mailers,
    service_behind,
)
from leek.models import queue_database
from leek.policy import PolicyOptions
from leek.pushing import TaskTuple

_OPTIONS = (*PolicyOptions.__annotations__, "run_after")


def deliver(message: dict[str, Any], using: str | None = None) -> Any:
    """Send a mail that was pushed, by the backend behind; return how many that has sent."""
    return behind(using).send_messages([message_of(message)])


class EmailBackend(PushingBackend):
    """Pushes mails in the caller's transaction; `leek_server` sends them by the backend behind.

    A subclass may say in `options` how its mails are to be pushed: they are those of
    `leek.api.using`. The OPTIONS of a mailer, which Django 6.1 brought, win over them.

    Mails of a connection that was asked for with arguments, such as a password, are sent at once:
    these are not to be stored.
    """

    options: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        fail_silently: bool = False,
        *,
        alias: str | None = None,
        using: str | None = None,
        _ignore_unknown_kwargs: Iterable[str] | None = None,  # the arguments of a single call
        **kwargs: Any,
    ) -> None:
        """Raise InvalidSetting where the backend behind, or an option, cannot be used."""
        super().__init__(alias=alias)
        self.alias = alias
        self.using = using
        self.fail_silently = fail_silently
        of_call = {*kwargs} if alias is None else {*(_ignore_unknown_kwargs or ())}
        said = {name: value for name, value in kwargs.items() if name not in of_call}
        self._options = self._checked({**self.options, **said})
        own = {name: kwargs[name] for name in of_call & {*kwargs} if kwargs[name] is not None}
        if own and fail_silently:
            own["fail_silently"] = True
        self._at_once = behind(using, **own) if own else None

    def open(self) -> Any:
        """Open nothing, unless the mails are sent at once."""
        return self._at_once.open() if self._at_once else None

    def close(self) -> None:
        """Close what was opened."""
        if self._at_once:
            self._at_once.close()

    def send_messages(self, email_messages: Iterable[EmailMessage]) -> Any:
        """Push mails, all or none, and return how many; one without recipients is none.

        Raise what building a mail raises, and what a push raises unless it is to fail silently.
        """
        if self._at_once:
            return self._at_once.send_messages(email_messages)
        tasks = [self._task(each) for each in email_messages or () if each.recipients()]
        if not self.fail_silently:
            return len(self._options.push_many(tasks))
        try:
            with transaction.atomic(using=queue_database()):  # the caller's goes on in any case
                return len(self._options.push_many(tasks))
        except (InvalidTask, db.Error):
            return 0

    def _task(self, message: EmailMessage) -> TaskTuple:
        """Return the task of a mail; raise what sending it would raise because of what it holds."""
        if self._smtp:
            _check_addresses(self._smtp, message)
        using = {"using": self.using} if self.using else {}
        return deliver, (), {"message": values_of(message), **using}

    @cached_property
    def _smtp(self) -> Any:
        """The backend behind, if it is one for SMTP."""
        return behind(self.using) if is_smtp(class_behind(self.using)) else None

    def _checked(self, said: dict[str, Any]) -> api.Options:
        """Return what to push with; raise InvalidSetting."""
        name = type(self).__qualname__ if self.alias is None else f'MAILERS["{self.alias}"]'
        if self.using is None and has_mailers():
            remedy = 'Add "OPTIONS": {"using": "..."} with the mailer that is to send the mails.'
            raise InvalidSetting(f"{name} names no mailer behind leek's.", remedy)
        sends_by_smtp = is_smtp(class_behind(self.using))
        if unknown := said.keys() - {*_OPTIONS}:
            known = ", ".join(["using", *_OPTIONS])
            raise InvalidSetting(
                f"{name} has unknown options: {', '.join(sorted(unknown))}.", f"There are: {known}."
            )
        if sends_by_smtp and said.get("requires") is None:
            said["requires"] = [service_behind(self.using)]
        try:
            return api.using(**said)
        except InvalidTask as error:
            remedy = "The options of leek's mail backend are those of leek.api.using."
            raise InvalidSetting(f"{name}: {error}", remedy) from error


def wrong_backends() -> list[InvalidSetting]:
    """Return an error for each mail backend of the site that is leek's and cannot be used."""
    errors = []
    for alias, kind in pushing_mailers().items():
        named = {"alias": alias, **settings.MAILERS[alias].get("OPTIONS", {})} if alias else {}
        try:
            kind(**named)
        except InvalidSetting as error:
            errors.append(error)
    return errors


def _check_addresses(backend: Any, message: EmailMessage) -> None:
    """Raise ValueError where Django's SMTP backend would for an address of the envelope."""
    encoding: Any = message.encoding or settings.DEFAULT_CHARSET
    prepared = getattr(backend, "prep_address", None) or partial(
        sanitize_address,
        encoding=encoding,  # as Django 5.2 does
    )
    for address in (message.from_email, *message.recipients()):
        prepared(address)
