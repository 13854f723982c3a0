"""A mail server that keeps what it receives to itself."""

from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default as policy

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass(frozen=True)
class Mail:
    """A mail as it was pushed, or as it arrived: the two must be equal."""

    sender: str
    recipient: str
    subject: str
    body: str

    def __str__(self) -> str:
        return f"mail sink | to {self.recipient}: {self.subject}"


class MailSink:
    """Takes mails over SMTP in its own thread, keeps and reports each; sends none on."""

    def __init__(self, port: int, report: Callable[[Mail], None]) -> None:
        self.mails: list[Mail] = []
        self.report = report
        self.controller = Controller(self, hostname="127.0.0.1", port=port)

    def __enter__(self) -> "MailSink":
        self.controller.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.controller.stop()

    async def handle_DATA(  # noqa: N802 (aiosmtpd's name for it)
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Take a mail that arrived complete, once for each of its recipients."""
        for recipient in envelope.rcpt_tos:
            mail = parse(envelope, recipient)
            self.mails.append(mail)
            self.report(mail)
        return "250 Taken"


def parse(envelope: Envelope, recipient: str) -> Mail:
    """Read what a mail program would show to one recipient."""
    message = message_from_bytes(envelope.original_content or b"", policy=policy)
    text = message.get_body(preferencelist=("plain", "html"))
    return Mail(
        sender=envelope.mail_from or "",
        recipient=recipient,
        subject=str(message["Subject"]),
        body="\n".join(text.get_content().splitlines()) if text else "",
    )
