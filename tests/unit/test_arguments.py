"""What a task is called with, as a person reads it."""

import pickle
import sys
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives
from django.test import override_settings

from leek import serializer
from leek.arguments import MOST_LINES, Arguments, Line, arguments_of, readable, result_of
from leek.mail_values import values_of
from leek.redacting import REDACTED
from leek.signing import sign
from leek.tagged_json import encode


def login(user: str, password: str, /, *rest: Any, api_key: str = "") -> None:
    """Take secrets in every way."""


def contextual(context: Any, user: str) -> None:
    """Take what Django's tasks call a context."""


@dataclass
class Login:
    """What only pickle can hold."""

    user: str
    password: str


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


class Broken:
    """Cannot be unpickled."""

    def __reduce__(self) -> Any:
        return int, ("seven",)


class Quitter:
    """Ends the process that unpickles it, unless that is prevented."""

    def __reduce__(self) -> Any:
        return sys.exit, ("the end",)


HERE = __name__


def payload(name: str = "login", *args: Any, mode: str = "auto", **kwargs: Any) -> str:
    """Return the payload of a task of this module."""
    return serializer.dump_task(f"{HERE}.{name}", args, kwargs, mode)


@pytest.mark.parametrize("mode", ["json", "pickle"])
def test_arguments_have_the_names_of_their_parameters(mode: str) -> None:
    shown = arguments_of(payload("login", "ann", "hunter2", 7, date(2026, 12, 24), mode=mode))
    assert shown.path == f"{HERE}.login"
    assert shown.args == [
        Line("user", "'ann'"),
        Line("password", REDACTED),
        Line("rest[0]", "7"),
        Line("rest[1]", "datetime.date(2026, 12, 24)"),
    ]
    assert not shown.problem


def test_keyword_arguments_are_redacted_by_their_names() -> None:
    shown = arguments_of(payload("login", "ann", "hunter2", api_key="hunter3"))
    assert shown.kwargs == [Line("api_key", REDACTED)]


def test_where_a_call_would_be_refused_there_are_positions() -> None:
    shown = arguments_of(payload("login", "ann", "hunter2", no_such="argument"))
    assert shown.args == [Line("args[0]", "'ann'"), Line("args[1]", REDACTED)]


def test_where_the_callable_does_not_import_there_are_positions() -> None:
    shown = arguments_of(payload("gone", "ann", password="hunter2"))
    assert shown.args == [Line("args[0]", "'ann'")]
    assert shown.kwargs == [Line("password", REDACTED)]


def test_a_renamed_callable_is_found() -> None:
    with override_settings(TASKS_QUEUE={"ALIASES": {f"{HERE}.former": f"{HERE}.login"}}):
        shown = arguments_of(payload("former", "ann", "hunter2"))
    assert [line.name for line in shown.args] == ["user", "password"]


def test_the_context_of_a_django_task_is_no_argument() -> None:
    kept = {"backend": "default", "takes_context": True}
    text = serializer.dump_task(f"{HERE}.contextual", ["ann"], {}, "json", enqueued=kept)
    assert arguments_of(text).args == [Line("user", "'ann'")]


def test_of_very_many_arguments_some_are_shown() -> None:
    many: dict[str, Any] = {f"name_{number}": number for number in range(107)}
    shown = arguments_of(payload("login", *range(1_000), **many))
    assert len(shown.args) == len(shown.kwargs) == MOST_LINES + 1
    assert shown.args[-1] == Line("…", "900 more")
    assert shown.kwargs[-1] == Line("…", "7 more")


def test_options_and_context_are_shown() -> None:
    context = {"language": "de", "variables": {"shop.token": "hunter2"}}
    text = serializer.dump_task(
        f"{HERE}.login", ["ann", "x"], {}, "auto", options={"max_retries": 5}, context=context
    )
    shown = arguments_of(text)
    assert shown.options == [Line("max_retries", "5")]
    assert shown.context[0] == Line("language", "'de'")
    assert "hunter2" not in str(shown.context)


def test_the_words_are_those_of_the_setting() -> None:
    with override_settings(TASKS_QUEUE={"REDACT": ["user"]}):
        shown = arguments_of(payload("login", "ann", "hunter2"))
    assert shown.args == [Line("user", REDACTED), Line("password", "'hunter2'")]


def test_an_object_in_a_pickle_shows_no_secret() -> None:
    shown = arguments_of(payload("login", Login("ann", "hunter2"), ""))
    assert shown.args[0].text.startswith("Login(user='ann'")
    assert "hunter2" not in str(shown)


def tampered(text: str) -> str:
    """Return a payload that somebody has changed."""
    return text.replace("ann", "bob")


def unsigned(bomb: Bomb) -> str:
    """Return a pickle as who can write the table would store it."""
    document = {"callable": f"{HERE}.login", "pickle": b64encode(pickle.dumps(bomb)).decode()}
    return f"{encode(document)}:{sign('other').rpartition(':')[2]}"


def test_what_is_not_verified_is_not_shown() -> None:
    for text in (tampered(payload("login", "ann", "x")), "", "{}", "no payload"):
        shown = arguments_of(text)
        assert "cannot be verified" in shown.problem
        assert shown == Arguments(problem=shown.problem)
        assert readable(text) == ""


def test_what_is_not_verified_is_not_unpickled(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    assert "cannot be verified" in arguments_of(unsigned(Bomb(trace))).problem
    assert not trace.exists()
    arguments_of(payload("login", Bomb(trace), ""))  # verified, it does what it does
    assert trace.exists()


def test_json_refuses_pickles(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    text = payload("login", Bomb(trace), "")
    with override_settings(TASKS_QUEUE={"SERIALIZER": "json"}):
        shown = arguments_of(text)
    assert "SERIALIZER" in shown.problem
    assert not trace.exists()


def test_no_argument_ends_the_process_that_shows_it() -> None:
    shown = arguments_of(payload("login", Quitter(), ""))
    assert "SystemExit: the end" in shown.problem


def test_what_fails_to_unpickle_is_told() -> None:
    shown = arguments_of(payload("login", Broken(), ""))
    assert "ValueError" in shown.problem
    assert not shown.args


@pytest.mark.parametrize("document", [{}, {"callable": "a.b"}, {"callable": "a.b", "args": []}, []])
def test_what_is_not_of_the_format_is_told(document: Mapping[str, Any]) -> None:
    assert arguments_of(sign(encode(document))).problem


def test_readable_text_has_what_is_searched_for_and_no_secret() -> None:
    text = readable(payload("login", "ann", "hunter2", 4711, api_key="hunter3"))
    assert f"{HERE}.login" in text
    assert "user='ann'" in text
    assert "4711" in text
    assert "hunter" not in text


@pytest.fixture
def mail() -> str:
    """Return the payload of a mail."""
    message = EmailMultiAlternatives(
        "Your new password",
        "https://shop.example/reset/hunter2/",
        "shop@example.com",
        ["ann@example.com", "bob@example.com"],
        cc=["cy@example.com"],
    )
    message.attach_alternative("<a href='https://shop.example/reset/hunter2/'>", "text/html")
    message.attach("a.txt", "hunter2", "text/plain")
    values = {"message": values_of(message), "using": "smtp"}
    return serializer.dump_task("leek.mail.deliver", (), values, "auto")


def test_a_mail_is_shown_by_its_headers(mail: str) -> None:
    shown = arguments_of(mail)
    assert shown.kwargs == [Line("using", "'smtp'")]
    assert shown.mail == [
        Line("subject", "Your new password"),
        Line("from_email", "shop@example.com"),
        Line("to", "ann@example.com, bob@example.com"),
        Line("cc", "cy@example.com"),
        Line("body", "35 characters"),
        Line("attachments", "1"),
    ]


def test_what_a_mail_says_is_not_shown(mail: str) -> None:
    assert "hunter2" not in str(arguments_of(mail))
    assert "bob@example.com" in readable(mail)
    assert "hunter2" not in readable(mail)


def test_results_are_shown_without_secrets() -> None:
    assert result_of(None) == "None"
    assert result_of(serializer.dump_value({"id": 7, "token": "x"}, "json")) == (
        f"{{'id': 7, 'token': {REDACTED}}}"
    )
    assert "hunter2" not in result_of(serializer.dump_value(Login("ann", "hunter2"), "auto"))


def test_a_result_that_cannot_be_shown_is_told() -> None:
    assert "lost" in result_of(serializer.dump_value(iter(()).__class__, "json"))
    text = serializer.dump_value("ann", "json")
    assert text
    assert "cannot be read" in result_of(tampered(text))
