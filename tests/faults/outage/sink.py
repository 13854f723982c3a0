"""A mail server that can be away, and what is sent to it."""

import time
from email import message_from_bytes, policy
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.faults.outage.seen import Mail


class Sink:
    """Keeps each mail that it is sent, and when that was by the monotonic clock."""

    def __init__(self, port: int) -> None:
        self.mails: list[Mail] = []
        self.times: list[float] = []
        self._port = port
        self._controller: Controller | None = None

    async def handle_DATA(  # noqa: N802 (aiosmtpd's name for it)
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Take a mail."""
        self.times.append(time.monotonic())
        content: Any = envelope.content
        message: Any = message_from_bytes(content, policy=policy.default)
        body = message.get_content().replace("\r\n", "\n")
        self.mails.append(Mail(", ".join(envelope.rcpt_tos), message["Subject"], body))
        return "250 OK"

    def start(self) -> None:
        """Listen."""
        self._controller = Controller(self, hostname="127.0.0.1", port=self._port)
        self._controller.start()

    def stop(self) -> None:
        """Be away."""
        if self._controller:
            self._controller.stop()
            self._controller = None
