"""A hundred mails: pushed, sent over SMTP, and compared with what was pushed."""

import secrets
import time
from collections import Counter
from dataclasses import dataclass

from django.conf import settings
from django.core.mail import send_mail
from django.core.management.base import CommandError

from demo.processes import Line
from demo.running import Demo
from demo.sink import Mail
from leek.api import using
from leek.models import QueuedTasks, SuccessTasks

COUNT = 100
ARRIVE_WITHIN = 60.0  # seconds


@dataclass(frozen=True)
class Delivery:
    """What became of the mails of one run; the seconds are counted from the first push."""

    mails: list[Mail]
    tasks: list[QueuedTasks]
    pushed_after: float
    arrived_after: float

    def summary(self) -> str:
        """Tell the figures."""
        return (
            f"{COUNT} mails pushed in {self.pushed_after:.2f} s,"
            f" all {COUNT} arrived {self.arrived_after:.2f} s after the first push."
        )


def deliver(demo: Demo) -> Delivery:
    """Push a hundred mails and return when each has arrived, or at the latest at the deadline."""
    run = secrets.token_hex(4)
    mails = compose(run)
    demo.start_leek_server(queue=run, verbosity=0)
    began = time.monotonic()
    tasks = [push(mail, queue=run) for mail in mails]
    pushed = time.monotonic()
    missing = set(mails)
    for happening in demo.happenings(began + ARRIVE_WITHIN):
        if isinstance(happening, Line):
            demo.say(str(happening))
        else:
            missing.discard(happening)
        if not missing:
            break
    return Delivery(mails, tasks, pushed - began, time.monotonic() - began)


def compose(run: str) -> list[Mail]:
    """Write mails of which no two are alike, nor like those of another run."""
    return [
        Mail(
            sender=settings.DEFAULT_FROM_EMAIL,
            recipient=f"reader-{number}@example.com",
            subject=f"Leek & potato soup, N° {number} of {COUNT} ({run})",
            body=f"Dear reader {number},\n\nleek soup is not crème brûlée.\n\nleek",
        )
        for number in range(1, COUNT + 1)
    ]


def push(mail: Mail, queue: str) -> QueuedTasks:
    """Push the sending of a mail to a queue that no other leek_server serves."""
    return using(queue=queue).push(
        send_mail, mail.subject, mail.body, mail.sender, [mail.recipient]
    )


def verify(delivery: Delivery, arrived: list[Mail]) -> None:
    """Raise unless each mail has arrived just as it was pushed, once, and is known as sent."""
    expected = Counter(delivery.mails)
    received = Counter(arrived)
    sent = SuccessTasks.objects.filter(task__in=delivery.tasks).count()
    if received == expected and sent == COUNT:
        return
    raise CommandError(
        f"Of {COUNT} mails {(expected & received).total()} have arrived as they were pushed,"
        f" {(received - expected).total()} came twice or were different,"
        f" and {sent} are recorded as sent."
    )
