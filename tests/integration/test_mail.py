"""The site's mails are tasks: pushed in its transactions, sent by the backend behind."""

from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.core import mail
from django.core.mail import EmailMessage, mail_admins, send_mail, send_mass_mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import IntegrityError, transaction

from leek import outages
from leek.api import push_task_to_queue
from leek.exceptions import InvalidTask, TaskFailed
from leek.mail import EmailBackend, deliver
from leek.mail_values import values_of
from leek.models import QueuedTasks
from leek.serializer import load_task
from leek.testing import pushed, run_pushed
from tests.conftest import StartServer
from tests.mail_corpus import SENDER, TO, Reminder, plain
from tests.mailing import HAS_MAILERS, LEEK, SENDS, MailServer, push_mails
from tests.support import free_port, manage, wait_until

pytestmark = pytest.mark.django_db

# What Django 6.1 advises against is still to work.
deprecated = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"
)
since_mailers = pytest.mark.skipif(not HAS_MAILERS, reason="Django 6.1 brought MAILERS")


@pytest.fixture
def mail_server(settings: Any) -> Iterator[MailServer]:
    """Return a mail server that is away; mails are pushed, and then sent to it."""
    server = MailServer(free_port())
    push_mails(settings, server.port)
    yield server
    server.stop()


def backend_of_the_site() -> Any:
    """Return the mail backend of the site as it is asked for without arguments."""
    return vars(mail)["mailers"].default if HAS_MAILERS else mail.get_connection()


def at_mail_site(server: MailServer, **extra: str) -> dict[str, str]:
    """Return what makes a leek_server send mails to this mail server."""
    site = {"DJANGO_SETTINGS_MODULE": "tests.mail_site", "TESTS_SMTP_PORT": str(server.port)}
    return site | extra


def message_in(row: QueuedTasks) -> Any:
    """Return the attributes of the message that a row holds."""
    return load_task(row.payload, "auto").kwargs["message"]["attributes"]


def options_of(row: QueuedTasks) -> dict[str, Any]:
    """Return what the push has said of how the task is to be run."""
    return dict(load_task(row.payload, "auto").options)


# With a server


def test_mails_wait_for_the_mail_server_and_arrive_once(
    start_server: StartServer, mail_server: MailServer
) -> None:
    start_server(**at_mail_site(mail_server))
    assert send_mail("Hello", "Hi.", SENDER, [TO]) == 1
    assert send_mass_mail([("Hello", "Hi.", SENDER, [f"{n}@example.com"]) for n in range(9)]) == 9
    wait_until(lambda: QueuedTasks.objects.blocked().count() == 10, "blocked mails")
    mail_server.start()
    for row in pushed():
        row.wait(60)
        assert (row.tries, row.name) == (1, "leek.mail.deliver")
    arrived = sorted(each.recipients[0] for each in mail_server.received)
    assert arrived == sorted([TO, *(f"{n}@example.com" for n in range(9))])


@pytest.mark.logs_errors
def test_a_mail_that_is_tried_twice_keeps_its_id_and_date(
    start_server: StartServer, mail_server: MailServer
) -> None:
    mail_server.to_refuse = 1
    mail_server.start()
    start_server(**at_mail_site(mail_server, LEEK_RETRY_DELAY="0"))
    plain().send()
    (row,) = pushed()
    row.wait(60)
    assert row.tries == 2
    (refused,), (received,) = mail_server.refused, mail_server.received
    assert received.headers("Message-ID") == refused.headers("Message-ID") != []
    assert received.headers("Date") == refused.headers("Date") != []
    assert received == refused


def test_a_mail_of_a_transaction_that_is_rolled_back_is_never_sent(
    start_server: StartServer, mail_server: MailServer
) -> None:
    mail_server.start()
    start_server(**at_mail_site(mail_server))
    with transaction.atomic():
        assert send_mail("Never", "Hi.", SENDER, [TO]) == 1
        transaction.set_rollback(True)
    with transaction.atomic():
        send_mail("Hello", "Hi.", SENDER, [TO])
    (row,) = pushed()
    row.wait(60)
    assert [each.headers("Subject") for each in mail_server.received] == [["Hello"]]


def test_a_server_of_a_site_whose_mails_cannot_be_sent_does_not_start(
    transactional_db: None, mail_server: MailServer
) -> None:
    wrong = {"TESTS_MAILER": "default", "LEEK_EMAIL_BACKEND": LEEK}
    done = manage("leek_server", "--port", "0", **at_mail_site(mail_server, **wrong))
    assert done.returncode == 1
    assert "(leek.E008)" in done.stderr
    assert "leek's mail backend would be behind itself" in done.stderr


# At the push


def test_a_push_opens_no_connection(mail_server: MailServer) -> None:
    with backend_of_the_site() as backend:
        assert backend.send_messages([plain(), plain()]) == 2
    assert len(pushed()) == 2
    with pytest.raises(TaskFailed, match="ConnectionRefusedError"):
        run_pushed(raise_errors=True)


def test_mails_without_recipients_do_not_count(mail_server: MailServer) -> None:
    nobody = EmailMessage("Hello", "Hi.", SENDER, [])
    assert backend_of_the_site().send_messages([nobody, plain(), nobody]) == 1
    assert backend_of_the_site().send_messages([nobody]) == 0
    assert backend_of_the_site().send_messages([]) == 0
    assert nobody.send() == 0
    assert len(pushed()) == 1


def test_mails_to_the_admins_are_pushed(mail_server: MailServer, settings: Any) -> None:
    pairs = django.VERSION < (6, 0)
    settings.ADMINS = [("Admin", "admin@example.com") if pairs else "admin@example.com"]
    mail_admins("Trouble", "Look.", html_message="<p>Look.</p>")
    (row,) = pushed()
    assert message_in(row)["to"] == ["admin@example.com"]
    assert message_in(row)["alternatives"] == [{"@alternative": ["<p>Look.</p>", "text/html"]}]


def test_what_building_the_mail_raises_is_raised_at_the_call(mail_server: MailServer) -> None:
    good, bad = plain(), EmailMessage("Hello\nBcc: x@example.com", "Hi.", SENDER, [TO])
    with pytest.raises(ValueError, match=r"(?i)header values"):
        backend_of_the_site().send_messages([good, bad])
    assert not pushed()


@pytest.mark.parametrize("address", ["a@example.com\nb@example.com", "@example.com", "a@b@c"])
@pytest.mark.parametrize("name", ["bcc", "from_email"])
def test_an_address_that_smtp_would_refuse_is_refused_at_the_call(
    mail_server: MailServer, address: str, name: str
) -> None:
    message = plain(headers={"From": SENDER})
    setattr(message, name, [address] if name == "bcc" else address)
    with pytest.raises(ValueError, match=r"(?i)invalid address"):
        message.send()
    assert not pushed()


def test_what_cannot_be_stored_is_named(mail_server: MailServer, settings: Any) -> None:
    message: Any = plain()
    message.tags = ["fine", {"odd": open}]
    message.callback = lambda: None
    with pytest.raises(InvalidTask, match=r'\["attributes"\]\["callback"\]: .*cannot be imported'):
        message.send()
    del message.callback
    settings.TASKS_QUEUE = {"SERIALIZER": "json"}
    with pytest.raises(InvalidTask, match=r'\["attributes"\]\["tags"\]\[1\]\["odd"\]: JSON'):
        message.send()
    assert not pushed()


# Silently


@deprecated
def test_a_refused_push_fails_silently_if_asked_to(mail_server: MailServer) -> None:
    message: Any = plain()
    message.callback = lambda: None
    assert mail.get_connection(fail_silently=True).send_messages([message, plain()]) == 0
    assert mail.get_connection(fail_silently=True).send_messages([plain()]) == 1
    assert len(pushed()) == 1


@deprecated
def test_an_error_of_the_database_leaves_the_callers_transaction_alone(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clash(*args: Any, **kwargs: Any) -> None:
        row = QueuedTasks.objects.get()
        QueuedTasks.objects.bulk_create([row])  # its id is taken

    backend = mail.get_connection(fail_silently=True)
    plain().send()
    monkeypatch.setattr("leek.lifecycle.push", clash)
    with transaction.atomic():
        assert backend.send_messages([plain()]) == 0
        assert QueuedTasks.objects.count() == 1
        with pytest.raises(IntegrityError), transaction.atomic():
            plain().send()


@deprecated
def test_a_transaction_that_is_broken_already_is_silent_too(mail_server: MailServer) -> None:
    backend = mail.get_connection(fail_silently=True)
    with transaction.atomic():
        transaction.set_rollback(True)
        assert backend.send_messages([plain()]) == 0
    assert not pushed()


@since_mailers
def test_a_mailer_may_be_silent(mail_server: MailServer, settings: Any) -> None:
    push_mails(settings, mail_server.port, fail_silently=True)
    message: Any = plain()
    message.callback = lambda: None
    assert message.send() == 0


# At once


@deprecated
@pytest.mark.parametrize("silently", [True, False])
def test_mails_with_a_password_of_their_own_are_sent_at_once(
    mail_server: MailServer, silently: bool
) -> None:
    arguments: Any = {"auth_user": "ann", "auth_password": "secret", "fail_silently": silently}
    if silently:
        assert send_mail("Hello", "Hi.", SENDER, [TO], **arguments) == 0
    else:
        with pytest.raises(ConnectionRefusedError):
            send_mail("Hello", "Hi.", SENDER, [TO], **arguments)
    mail_server.start()
    assert send_mail("Hello", "Hi.", SENDER, [TO], **arguments) == 1
    assert (mail_server.logins, len(mail_server.received)) == ([b"ann"], 1)
    assert not pushed()


@deprecated
def test_a_connection_with_arguments_is_one_for_all_its_mails(mail_server: MailServer) -> None:
    mail_server.start()
    with mail.get_connection(timeout=30) as backend:
        assert backend.send_messages([plain()]) == 1
        assert backend.send_messages([plain()]) == 1
    assert not pushed()
    assert len(mail_server.received) == 2
    assert mail_server.connections == 1


# The backend behind


class Collected(BaseEmailBackend):
    """Keeps the messages that it is given."""

    messages: list[Any] = []

    def send_messages(self, email_messages: Any) -> int:
        """Keep them."""
        self.messages += email_messages
        return len(email_messages)


@pytest.fixture
def collected(settings: Any) -> list[Any]:
    """Return what a backend gets that knows nothing of SMTP; mails are pushed for it."""
    path = f"{__name__}.Collected"
    push_mails(settings, free_port())
    if HAS_MAILERS:
        settings.MAILERS = settings.MAILERS | {"smtp": {"BACKEND": path}}
    else:
        settings.TASKS_QUEUE = {"EMAIL_BACKEND": path}
    Collected.messages.clear()
    return Collected.messages


def test_the_backend_behind_need_not_be_smtp(collected: list[Any]) -> None:
    message: Any = Reminder("Hello", "<p>Hi</p>", SENDER, [TO], headers={"X-Own": "1"})
    message.tags = ["welcome"]
    message.esp_extra = {"template": 7}
    message.send()
    (row,) = run_pushed(raise_errors=True)
    assert options_of(row) == {}
    received: Any = collected.pop()
    assert not collected
    assert type(received) is Reminder
    attributes = vars(received)
    assert (attributes["tags"], attributes["esp_extra"]) == (["welcome"], {"template": 7})
    assert received.extra_headers == {"X-Own": "1"}
    assert received.message()["X-Reminder"] == "yes"


def test_what_cannot_be_json_is_pickled(collected: list[Any]) -> None:
    message: Any = plain()
    message.encode = str.encode
    message.send()
    run_pushed(raise_errors=True)
    assert collected[0].encode is str.encode


@since_mailers
def test_mails_that_were_pushed_before_there_were_mailers_are_sent(
    mail_server: MailServer, settings: Any
) -> None:
    mail_server.start()
    push_task_to_queue(deliver, values_of(plain()))
    run_pushed(raise_errors=True)
    assert len(mail_server.received) == 1


@since_mailers
@deprecated
def test_the_older_setting_works_as_long_as_django_has_it(
    mail_server: MailServer, settings: Any
) -> None:
    del settings.MAILERS
    settings.EMAIL_BACKEND = LEEK
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mail_server.port
    mail_server.start()
    assert plain().send() == 1
    assert not mail_server.received
    (row,) = run_pushed(raise_errors=True)
    assert options_of(row) == {"requires": ("smtp",)}
    assert len(mail_server.received) == 1
    outages.check("smtp")
    mail_server.stop()
    with pytest.raises(ConnectionRefusedError):
        outages.check("smtp")


# Policies


class Newsletter(EmailBackend):
    """Pushes the mails of a newsletter."""

    options = {"queue": "news", "priority": -5, "max_retries": 7}


def test_a_subclass_says_how_its_mails_are_pushed(mail_server: MailServer, settings: Any) -> None:
    path = f"{__name__}.Newsletter"
    if HAS_MAILERS:
        settings.MAILERS = settings.MAILERS | {
            "news": {"BACKEND": path, "OPTIONS": {"using": "smtp", "priority": 5}}
        }
        plain().send(using="news")
    else:
        mail.get_connection(path).send_messages([plain()])
    (row,) = pushed()
    assert (row.queue, row.priority) == ("news", 5 if HAS_MAILERS else -5)
    assert options_of(row) == {"max_retries": 7, "requires": ("smtp",)}


@since_mailers
def test_a_mailer_says_how_its_mails_are_pushed(mail_server: MailServer, settings: Any) -> None:
    push_mails(settings, mail_server.port, queue="mail", timeout=20, requires=["database:default"])
    plain().send()
    (row,) = pushed()
    assert row.queue == "mail"
    assert options_of(row) == {"timeout": 20.0, "requires": ("database:default",)}


# The service


def test_the_check_of_smtp_looks_behind(mail_server: MailServer) -> None:
    with pytest.raises(ConnectionRefusedError):
        outages.check("smtp")
    mail_server.start()
    outages.check("smtp")
    assert not pushed()


@since_mailers
def test_mails_of_another_server_wait_for_that_one(mail_server: MailServer, settings: Any) -> None:
    settings.MAILERS = settings.MAILERS | {
        "bulk": {"BACKEND": LEEK, "OPTIONS": {"using": "other"}},
        "other": {"BACKEND": SENDS, "OPTIONS": {"host": "127.0.0.1", "port": free_port()}},
    }
    plain().send(using="bulk")
    (row,) = pushed()
    assert options_of(row) == {"requires": ("smtp:other",)}
    mail_server.start()
    outages.check("smtp")
    outages.check("smtp:smtp")
    for service in ("smtp:other", "smtp:bulk"):
        with pytest.raises(ConnectionRefusedError):
            outages.check(service)
