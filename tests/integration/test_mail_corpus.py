"""A mail that was pushed arrives as it would have without leek: each byte, and the envelope."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.db import connection

from leek.models import State
from leek.testing import run_pushed
from tests.mail_corpus import CORPUS, Maker
from tests.mailing import HAS_MAILERS, MailServer, push_mails, sent_directly
from tests.support import free_port

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def listening() -> Iterator[MailServer]:
    """Return a mail server that works."""
    server = MailServer(free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def mail_server(listening: MailServer, settings: Any) -> MailServer:
    """Return a mail server that has got nothing yet, and have mails pushed for it."""
    listening.received.clear()
    push_mails(settings, listening.port)
    return listening


def asked_for(message: EmailMessage, name: str) -> bool:
    """Tell whether the site gave the mail a header."""
    return name.lower() in {str(given).lower() for given in message.extra_headers}


@pytest.mark.parametrize("serializer", ["auto", "json"])
@pytest.mark.parametrize("make", CORPUS.values(), ids=CORPUS.keys())
def test_it_arrives_as_without_leek(
    mail_server: MailServer, settings: Any, make: Maker, serializer: str
) -> None:
    settings.TASKS_QUEUE = {"SERIALIZER": serializer}
    with sent_directly(settings, mail_server.port):
        assert make().send() == 1
    message = make()
    assert message.send() == 1
    assert len(mail_server.received) == 1
    (row,) = run_pushed(raise_errors=True)
    assert (row.state, row.name) == (State.SUCCESSFUL, "leek.mail.deliver")
    assert row.result == 1
    direct, pushed = mail_server.received
    assert pushed.comparable() == direct.comparable()
    for name in ("Date", "Message-ID"):
        assert len(pushed.headers(name)) == 1
        if asked_for(message, name):
            assert pushed.headers(name) == direct.headers(name)
        elif name == "Message-ID":
            assert pushed.headers(name) != direct.headers(name)


def test_all_of_them_are_pushed_at_once(
    mail_server: MailServer, django_assert_num_queries: Any
) -> None:
    messages = [CORPUS[name]() for name in ("a_plain_mail", "attachments", "alternatives")]
    backend: Any = mail.get_connection() if not HAS_MAILERS else vars(mail)["mailers"].default
    at_once = connection.features.can_return_rows_from_bulk_insert
    with django_assert_num_queries(1 if at_once else 3):
        assert backend.send_messages(messages) == 3
    run_pushed(raise_errors=True)
    assert len(mail_server.received) == 3
