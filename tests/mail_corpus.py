"""Mails of every kind that Django sends, each made by a function."""

import email.message
from collections.abc import Callable
from datetime import UTC, datetime
from email.charset import QP, Charset
from email.mime.image import MIMEImage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

import django
from django.core.mail import EmailAttachment, EmailMessage, EmailMultiAlternatives
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

SENDER, TO = "shop@example.com", "ann@example.com"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
KNOWS_MIME_PARTS = django.VERSION >= (6, 0)

Maker = Callable[[], EmailMessage]
CORPUS: dict[str, Maker] = {}


class Reminder(EmailMessage):
    """A mail of a class of the site's own, that changes what is sent."""

    content_subtype = "html"

    def message(self, **kwargs: Any) -> Any:
        """Add a header."""
        built = super().message(**kwargs)
        built["X-Reminder"] = "yes"
        return built


def mail(function: Maker) -> Maker:
    """Add a mail to the corpus."""
    CORPUS[function.__name__] = function
    return function


def plain(body: Any = "Hello.\n", **kwargs: Any) -> EmailMessage:
    """Return a plain mail."""
    return EmailMessage("Hello", body, SENDER, [TO], **kwargs)


@mail
def a_plain_mail() -> EmailMessage:
    return plain()


@mail
def no_body() -> EmailMessage:
    return plain("")


@mail
def lines_of_all_kinds() -> EmailMessage:
    return plain("From the start\n.\n..dots\r\nreturns\r\n\ttabs  \n\n\nno end")


@mail
def non_ascii_headers_and_addresses() -> EmailMessage:
    return EmailMessage(
        "Grüße aus Köln, und zwar recht ausführliche, damit die Zeile umbrochen wird 🍂",
        "Grüße\n",
        "Jörg Müller <joerg@example.com>",
        ["Ægir <aegir@example.com>", '"Doe, Jane" <jane@bücher.example>'],
        cc=["Søren <soeren@example.com>"],
        reply_to=["Büro <buero@example.com>"],
        headers={"X-Ort": "Köln", "List-Unsubscribe": "<https://example.com/" + "x" * 120 + ">"},
    )


@mail
def many_recipients() -> EmailMessage:
    return EmailMessage(
        "Hello",
        "Hello.\n",
        SENDER,
        [f"to{number}@example.com" for number in range(20)],
        bcc=["hidden@example.com", "Hidden Too <hidden.too@example.com>"],
        cc=["Carl <carl@example.com>"],
    )


@mail
def bcc_only() -> EmailMessage:
    return EmailMessage("Hello", "Hello.\n", SENDER, bcc=["hidden@example.com"])


@mail
def headers_of_its_own() -> EmailMessage:
    headers = {
        "X-Number": "7",
        "From": "Somebody Else <else@example.com>",
        "To": "undisclosed-recipients:;",
        "Reply-To": "reply@example.com",
        "X-Last": "last",
    }
    return plain(headers=headers)


@mail
def its_own_date_and_id() -> EmailMessage:
    headers = {
        "X-First": "1",
        "message-id": "<own@example.com>",
        "DATE": "Thu, 24 Dec 2026 08:00:00 +0100",
    }
    return plain(headers=headers)


@mail
def its_own_id() -> EmailMessage:
    return plain(headers={"X-First": "1", "Message-ID": "<own@example.com>", "X-Last": "2"})


@mail
def alternatives() -> EmailMessage:
    message = EmailMultiAlternatives("Hello", "Grüße\n", SENDER, [TO])
    message.attach_alternative("<p>Grüße <b>aus</b> Köln</p>", "text/html")
    message.attach_alternative(b"<p>Gr\xc3\xbc\xc3\x9fe</p>".decode(), "text/x-amp-html")
    message.attach_alternative(b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "application/ics")
    return message


@mail
def an_alternative_only() -> EmailMessage:
    message = EmailMultiAlternatives("Hello", "", SENDER, [TO])
    message.attach_alternative(mark_safe("<p>Hello</p>"), "text/html")
    return message


@mail
def html() -> EmailMessage:
    message = plain(mark_safe("<p>Grüße</p>\n"))
    message.content_subtype = "html"
    return message


@mail
def attachments() -> EmailMessage:
    message = plain()
    message.attach("numbers.csv", "a;b\n1;ü\n", "text/csv")
    message.attach("guessed.pdf", b"%PDF-1.7\n" + bytes(range(256)))
    message.attach("unknown", b"\x00\xff")
    message.attach("latin.txt", "Grüße".encode("latin-1"), "text/plain")
    message.attach("Übersicht über 2026 für 日本.txt", "ü\n", "text/plain")
    message.attach(None, b"no name", "application/x-nothing")
    array: Any = bytearray(b"5678")
    message.attachments.append(("tuple.bin", b"1234", "application/octet-stream"))
    message.attachments.append(EmailAttachment("array.bin", array, "application/zip"))
    return message


@mail
def an_attachment_without_a_body() -> EmailMessage:
    message = plain("")
    message.attach("a.bin", b"1234")
    return message


@mail
def everything_at_once() -> EmailMessage:
    message = EmailMultiAlternatives("Grüße", "Grüße\n", SENDER, [TO], bcc=["hidden@example.com"])
    message.attach_alternative("<p>Grüße</p>", "text/html")
    message.attach("ü.pdf", PNG, "application/pdf")
    message.attachments.append(inline_image())
    message.extra_headers["X-Ort"] = "Köln"
    return message


def inline_image() -> MIMEImage:
    """Return an image that HTML may refer to."""
    image = MIMEImage(PNG, "png")
    image["Content-ID"] = "<logo>"
    image.add_header("Content-Disposition", "inline", filename="Löwe.png")
    return image


@mail
def mime_parts_of_the_older_classes() -> EmailMessage:
    message = plain()
    related = MIMEMultipart("related", "a-boundary-of-its-own")
    related.attach(MIMEText("<img src='cid:logo'> ü", "html", "utf-8"))
    related.attach(inline_image())
    related.preamble = "This is MIME."
    message.attachments += [related, MIMEText("Grüße", "plain", "iso-8859-1")]
    return message


@mail
def a_message_as_an_attachment() -> EmailMessage:
    message = plain()
    inner = EmailMultiAlternatives("Innen: Grüße", "Grüße\n", "in@example.com", ["x@example.com"])
    inner.attach_alternative("<p>Grüße</p>", "text/html")
    message.attach("innen.eml", inner, "message/rfc822")
    return message


@mail
def a_message_as_text() -> EmailMessage:
    message = plain()
    message.attach("inner.eml", "From: a@example.com\nSubject: Inner\n\nHello.\n", "message/rfc822")
    return message


@mail
def a_message_of_the_older_class() -> EmailMessage:
    message = plain()
    inner = MIMEText("Hello", "plain", "us-ascii")
    inner["Subject"] = "Inner"
    message.attach("inner.eml", inner, "message/rfc822")
    return message


@mail
def a_class_of_its_own() -> EmailMessage:
    return Reminder("Hello", "<p>Hello</p>\n", SENDER, [TO])


@mail
def lazy_texts() -> EmailMessage:
    message = plain(gettext_lazy("Yes"))
    message.subject = gettext_lazy("No")
    message.extra_headers[gettext_lazy("Yes")] = gettext_lazy("No")
    return message


@mail
def attributes_of_packages() -> EmailMessage:
    message: Any = plain()
    message.tags = ["welcome", mark_safe("html")]
    message.metadata = {"order": 7, "@context": {"@id": 1}, "$date": "today"}
    message.esp_extra = {"at": datetime(2026, 12, 24, tzinfo=UTC), "nested": [{"a": (1, 2)}]}
    message.track_clicks = True
    return message  # type: ignore[no-any-return]


@mail
def five_megabytes() -> EmailMessage:
    return plain("Grüße, eine Zeile unter vielen, vielen anderen.\n" * 100_000)


@mail
def a_long_line() -> EmailMessage:
    return plain("ü" * 2000 + "\n")


@mail
def an_attachment_of_megabytes() -> EmailMessage:
    message = plain()
    message.attach("big.bin", bytes(range(256)) * 8192, "application/octet-stream")
    return message


def encoded(encoding: Any) -> EmailMessage:
    """Return a mail in another encoding."""
    message = EmailMultiAlternatives("Grüße", "Grüße\n", "Jörg <joerg@example.com>", [TO])
    message.encoding = encoding
    message.attach_alternative("<p>Grüße</p>", "text/html")
    message.attach("ü.txt", "Grüße", "text/plain")
    return message


@mail
def in_latin_1() -> EmailMessage:
    return encoded("iso-8859-1")


@mail
def in_utf_16() -> EmailMessage:
    return encoded("utf-16")


if KNOWS_MIME_PARTS:

    @mail
    def mime_parts() -> EmailMessage:
        message = plain()
        part = email.message.MIMEPart()
        part.set_content(
            PNG, "image", "png", disposition="inline", filename="Löwe.png", cid="<logo>"
        )
        message.attach(part)
        return message

    @mail
    def a_message_of_pythons() -> EmailMessage:
        message = plain()
        inner = email.message.EmailMessage()
        inner["Subject"] = "Prüfung, und zwar eine recht ausführliche, die umbrochen wird " * 3
        inner["From"] = "Jörg <joerg@example.com>"
        inner["To"] = "a@example.com, Bücher <b@example.com>"
        inner["Date"] = datetime(2026, 12, 24, 8, tzinfo=UTC)
        inner.set_content("Grüße\n" * 100)
        inner.add_alternative("<p>Grüße</p>", subtype="html")
        inner.add_attachment(PNG, maintype="image", subtype="png", filename="ü.png")
        message.attach("ü.eml", inner, "message/rfc822")
        return message

else:

    @mail
    def in_a_charset() -> EmailMessage:
        charset = Charset("utf-8")
        charset.body_encoding = QP
        return encoded(charset)

    @mail
    def other_subtypes() -> EmailMessage:
        message: Any = encoded("utf-8")
        message.mixed_subtype = "related"
        message.alternative_subtype = "mixed"
        return message  # type: ignore[no-any-return]
