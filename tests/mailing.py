"""A mail server that keeps what it gets, and a site whose mails are pushed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from typing import Any

import django
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

LEEK, SENDS = "leek.mail.EmailBackend", "django.core.mail.backends.smtp.EmailBackend"
HAS_MAILERS = django.VERSION >= (6, 1)

# What Django makes anew for each mail.
_DATE_OR_ID = re.compile(rb"^(Date|Message-ID):.*(?:\r\n[ \t].*)*", re.MULTILINE | re.IGNORECASE)
_BOUNDARY = re.compile(rb"={15}\d{10,}==")


@dataclass(frozen=True)
class Delivery:
    """A mail as it arrived, and its envelope."""

    sender: str | None
    recipients: list[str]
    content: bytes

    def headers(self, name: str) -> list[str]:
        """Return the values of a header of the mail itself."""
        return [str(value) for value in message_from_bytes(self.content).get_all(name, [])]

    def comparable(self) -> tuple[str | None, list[str], bytes]:
        """Return all of it but what is random, or of the clock: dates, ids and boundaries."""
        names: dict[bytes, bytes] = {}
        content = _DATE_OR_ID.sub(rb"\1:", self.content)
        content = _BOUNDARY.sub(
            lambda found: names.setdefault(found[0], b"boundary %d" % len(names)), content
        )
        return self.sender, self.recipients, content


class MailServer:
    """A mail server that can be away, or refuse mails; it keeps those it is offered."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.received: list[Delivery] = []
        self.refused: list[Delivery] = []
        self.to_refuse = 0
        self.connections = 0
        self.logins: list[bytes] = []
        self._controller: Controller | None = None

    async def handle_EHLO(  # noqa: N802 (likewise)
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: Any
    ) -> Any:
        """Count who comes."""
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_DATA(  # noqa: N802 (aiosmtpd's name for it)
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Take a mail, or refuse it for now."""
        delivery = Delivery(
            envelope.mail_from, envelope.rcpt_tos, bytes(envelope.original_content or b"")
        )
        if len(self.refused) < self.to_refuse:
            self.refused.append(delivery)
            return "451 Not now"
        self.received.append(delivery)
        return "250 OK"

    def _let_in(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        mechanism: str,
        login: Any,
    ) -> AuthResult:
        """Let in whoever tells a name."""
        self.logins.append(login.login)
        return AuthResult(success=True)

    def start(self) -> None:
        """Listen."""
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            auth_require_tls=False,
            authenticator=self._let_in,
        )
        self._controller.start()

    def stop(self) -> None:
        """Be away."""
        if self._controller:
            self._controller.stop()
            self._controller = None


def mailers(smtp: dict[str, Any], **options: Any) -> dict[str, dict[str, Any]]:
    """Return what MAILERS has: leek's, which may have further options, and one that sends."""
    return {
        "default": {"BACKEND": LEEK, "OPTIONS": {"using": "smtp", **options}},
        "smtp": {"BACKEND": SENDS, "OPTIONS": smtp},
    }


def push_mails(settings: Any, port: int, **options: Any) -> None:
    """Have the mails of this process pushed, and sent to this port."""
    smtp = {"host": "127.0.0.1", "port": port}
    if HAS_MAILERS:
        settings.MAILERS = mailers(smtp, **options)
    else:
        settings.EMAIL_HOST, settings.EMAIL_PORT = smtp["host"], smtp["port"]
        settings.EMAIL_BACKEND = LEEK


@contextmanager
def sent_directly(settings: Any, port: int) -> Iterator[None]:
    """Have the mails of this process sent as if there were no leek."""
    if HAS_MAILERS:
        before, settings.MAILERS = (
            settings.MAILERS,
            {"default": mailers({"host": "127.0.0.1", "port": port})["smtp"]},
        )
        yield
        settings.MAILERS = before
    else:
        before, settings.EMAIL_BACKEND = settings.EMAIL_BACKEND, SENDS
        yield
        settings.EMAIL_BACKEND = before
