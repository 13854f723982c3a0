"""A mail becomes values and a mail again, and is then sent as it would have been."""

import copy
import email.policy
import pickle
import re
from email.header import Header
from email.message import Message
from email.mime.text import MIMEText
from typing import Any

import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.utils.functional import Promise
from django.utils.translation import override

from leek.exceptions import InvalidPayload, InvalidTask
from leek.mail_values import message_of, values_of
from leek.tagged_json import NotExact, decode, encode
from tests.mail_corpus import (
    CORPUS,
    KNOWS_MIME_PARTS,
    Maker,
    Reminder,
    a_plain_mail,
    lazy_texts,
    plain,
)
from tests.mailing import Delivery

corpus = pytest.mark.parametrize("make", CORPUS.values(), ids=CORPUS.keys())


def there_and_back(message: EmailMessage) -> EmailMessage:
    """Return a message as a task has it."""
    return message_of(decode(encode(values_of(message))))


def as_sent(message: EmailMessage) -> bytes:
    """Return the message as bytes, without what is random or of the clock."""
    return Delivery("", [], message.message().as_bytes()).comparable()[2]


def state(value: Any) -> Any:
    """Return all that a message holds, such that it can be compared."""
    if isinstance(value, EmailMessage | Message):
        kept = {
            name: state(each)
            for name, each in vars(value).items()
            if name not in ("connection", "_connection", "message", "policy")
        }
        return type(value), kept
    if isinstance(value, list | tuple):
        return type(value), [state(each) for each in value]
    if isinstance(value, dict):
        return {state(key): state(each) for key, each in value.items()}
    return str(value) if isinstance(value, Promise) else value


@corpus
def test_it_is_the_same_mail(make: Maker) -> None:
    message = make()
    again = there_and_back(message)
    assert type(again) is type(message)
    assert state(again) == state(message)
    assert again.recipients() == message.recipients()


@corpus
def test_it_is_sent_as_the_same_bytes(make: Maker) -> None:
    message = make()
    values = encode(values_of(message))
    assert as_sent(message_of(decode(values))) == as_sent(message)


@corpus
def test_the_message_stays_as_it_is(make: Maker) -> None:
    message = make()
    before = state(copy.deepcopy(message))
    values_of(message)
    assert state(message) == before


def test_date_and_id_stay_the_same_however_often_it_is_built() -> None:
    again = there_and_back(CORPUS["a_message_as_an_attachment"]())
    first, second = (again.message() for _ in range(2))
    assert first["Date"]
    assert first["Message-ID"]
    for name in ("Date", "Message-ID"):
        assert first[name] == second[name]
        pattern = re.compile(rf"^{name}:.*(?:\n[ \t].*)*", re.MULTILINE)
        both = pattern.findall(first.as_string()), pattern.findall(second.as_string())
        assert len(both[0]) == 2  # the attached one has its own
        assert both[0] == both[1]


def test_they_are_no_headers_that_the_site_has_asked_for() -> None:
    message = plain(headers={"X-Own": "1"})
    again = there_and_back(message)
    again.message()
    assert again.extra_headers == {"X-Own": "1"}


def test_two_mails_have_two_ids() -> None:
    ids = {there_and_back(a_plain_mail()).message()["Message-ID"] for _ in range(2)}
    assert len(ids) == 2


def test_a_copy_builds_itself() -> None:
    again = there_and_back(a_plain_mail())
    for twin in (copy.deepcopy(again), pickle.loads(pickle.dumps(again))):
        twin.subject = "Other"
        built = twin.message()
        assert built["Subject"] == "Other"
        assert built["Message-ID"] == again.message()["Message-ID"]


def test_a_mail_that_came_of_a_task_can_be_pushed_again() -> None:
    again = there_and_back(a_plain_mail())
    assert there_and_back(again).message()["Message-ID"] == again.message()["Message-ID"]


def test_lazy_texts_are_of_the_language_of_the_push() -> None:
    message = lazy_texts()
    with override("de"):
        values = values_of(message)
    assert values["attributes"]["subject"] == "Nein"
    again = message_of(values)
    assert (again.subject, again.body) == ("Nein", "Ja")
    assert again.extra_headers == {"Ja": "Nein"}


def test_ordinary_mails_are_readable() -> None:
    values = values_of(EmailMultiAlternatives("Hello", "Hi", "a@example.com", ["b@example.com"]))
    assert values["class"] == "django.core.mail.message.EmailMultiAlternatives"
    assert values["made"].keys() == {"Date", "Message-ID"}
    assert values["attributes"] == {
        "subject": "Hello",
        "body": "Hi",
        "from_email": "a@example.com",
        "to": ["b@example.com"],
        "cc": [],
        "bcc": [],
        "reply_to": [],
        "attachments": [],
        "alternatives": [],
        "extra_headers": {},
    }


@pytest.mark.parametrize("name", ["subject", "from_email"])
def test_line_breaks_in_headers_are_refused_at_once(name: str) -> None:
    message = plain()
    setattr(message, name, "a@example.com\nBcc: b@example.com")
    with pytest.raises(ValueError, match=r"(?i)header values"):
        values_of(message)


def test_a_text_that_its_encoding_lacks_is_refused_at_once() -> None:
    message = plain("日本")
    message.encoding = "iso-8859-1"
    with pytest.raises(UnicodeEncodeError):
        values_of(message)


def test_a_class_that_cannot_be_found_is_refused_at_once() -> None:
    class Local(EmailMessage):
        pass

    with pytest.raises(InvalidTask, match="Local cannot be imported"):
        values_of(Local("Hello", "", "a@example.com", ["b@example.com"]))


def test_a_mail_that_contains_itself_is_refused_at_once() -> None:
    message: Any = plain()
    message.related = [message]
    with pytest.raises(InvalidTask, match="contains itself"):
        values_of(message)


def test_what_is_of_no_known_kind_is_left_to_the_serializer() -> None:
    message: Any = plain()
    message.choice = {"@odd": (odd := object())}
    part = MIMEText("x", policy=email.policy.compat32.clone(max_line_length=40))
    message.attachments.append(part)
    attributes = values_of(message)["attributes"]
    assert attributes["choice"] == {"@dict": [["@odd", odd]]}
    assert attributes["attachments"] == [part]
    with pytest.raises(NotExact):
        encode(attributes)
    del message.choice
    again = message_of(pickle.loads(pickle.dumps(values_of(message))))
    assert as_sent(again) == as_sent(message)


def test_a_class_that_is_no_mail_is_not_made() -> None:
    values = values_of(Reminder("Hello", "", "a@example.com", ["b@example.com"]))
    with pytest.raises(InvalidPayload, match=r"pathlib\.Path is no class of mails"):
        message_of(values | {"class": "pathlib.Path"})


@pytest.mark.skipif(not KNOWS_MIME_PARTS, reason="such headers are none of Django's older way")
def test_a_header_that_cannot_be_sent_is_refused_at_once() -> None:
    message, part = plain(), MIMEText("x")
    part["X-Odd"] = Header("ü", "utf-8")  # type: ignore[assignment]
    message.attachments.append(part)
    with pytest.raises((TypeError, AttributeError), match="Header"):
        values_of(message)
