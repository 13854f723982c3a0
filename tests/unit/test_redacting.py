"""Values as text: what is secret is not shown, what is long is cut, what is broken is told."""

from collections import OrderedDict, deque, namedtuple
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User

from leek.conf import SECRETS
from leek.redacting import LONGEST_TEXT, REDACTED, Redaction

redaction = Redaction(SECRETS)
Pair = namedtuple("Pair", ["user", "api_key"])


@dataclass
class Login:
    """Has a secret."""

    user: str
    password: str
    more: Any = None


@dataclass
class Place:
    """Has none."""

    street: str


class Slotted:
    """Has a secret, and shows it by itself."""

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        self.token = token

    def __repr__(self) -> str:
        return f"<{self.token}>"


class Broken:
    """Cannot be shown."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __repr__(self) -> str:
        raise self.error


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWORD",
        "old_password",
        "X-API-Key",
        "apiKey",
        "api_keys",
        "Authorization",
        "Set-Cookie",
        "client secret",
        b"access_token",
    ],
)
def test_a_name_is_secret_whatever_its_case_and_separators(name: object) -> None:
    assert redaction.hides(name)
    assert redaction.shown(name, "hunter2") == REDACTED


@pytest.mark.parametrize("name", ["author", "pass", "key", "user", "", 7, None, ("password",)])
def test_other_names_are_not(name: object) -> None:
    assert not redaction.hides(name)
    assert redaction.shown(name, "ann") == "'ann'"


@pytest.mark.parametrize("words", [[], ["", " - "]])
def test_no_words_hide_nothing(words: list[str]) -> None:
    assert Redaction(words).shown("password", "hunter2") == "'hunter2'"


@pytest.mark.parametrize(
    "value",
    [
        {"password": "hunter2"},
        {"a": [{"b": ({"c": {"api-key": "hunter2"}},)}]},
        {b"token": b"hunter2"},
        OrderedDict(cookie="hunter2"),
        deque([{"secret": "hunter2"}]),
        Login("ann", "hunter2"),
        Login("ann", "", more={"token": "hunter2"}),
        Login("ann", "", more=[Login("bob", "hunter2")]),
        [Login("ann", "hunter2")],
        Pair("ann", "hunter2"),
        SimpleNamespace(credentials="hunter2"),
        SimpleNamespace(inner=SimpleNamespace(credentials="hunter2")),
        Slotted("hunter2"),
        {"settings": Slotted("hunter2")},
    ],
)
def test_what_is_secret_is_not_shown_at_any_depth(value: object) -> None:
    text = redaction.text_of(value)
    assert "hunter2" not in text
    assert REDACTED in text


def test_what_is_beside_a_secret_is_shown() -> None:
    shown = redaction.text_of({"user": "ann", "password": "hunter2", "ids": (1,)})
    assert shown == f"{{'user': 'ann', 'password': {REDACTED}, 'ids': (1,)}}"
    assert "user='ann'" in redaction.text_of(Login("ann", "hunter2"))


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "a'b",
        b"a",
        [],
        (),
        (1,),
        (1, 2),
        [1, [2]],
        {"a": {}},
        {1},
        frozenset({1}),
        Place("Long Lane"),
        int,
    ],
)
def test_what_has_no_secret_is_shown_as_it_is(value: object) -> None:
    assert redaction.text_of(value) == repr(value)


def test_a_model_is_shown_by_its_name() -> None:
    assert redaction.text_of(User(username="ann", password="hunter2")) == "<User: ann>"


@pytest.mark.parametrize(
    "value", ["x" * 9_000, b"x" * 9_000, ["x" * 99] * 999, {n: n for n in range(9_999)}]
)
def test_a_long_value_is_cut(value: object) -> None:
    text = redaction.text_of(value)
    assert len(text) == LONGEST_TEXT + 1
    assert text.endswith("…")


def test_what_contains_itself_is_cut() -> None:
    value: list[Any] = []
    value.append(value)
    assert "…" in redaction.text_of(value)
    login = Login("ann", "hunter2")
    login.more = login
    assert "hunter2" not in redaction.text_of(login)


def test_what_cannot_be_shown_is_told() -> None:
    for error in (ZeroDivisionError, SystemExit):
        assert redaction.text_of([Broken(error)]) == f"cannot be shown: {error.__name__}"
    assert redaction.text_of(10**5_000) == "cannot be shown: ValueError"


@dataclass
class Hidden:
    """Says by itself that a field is not to be shown."""

    name: str
    code: str = field(repr=False)


def test_what_a_class_keeps_to_itself_is_not_shown() -> None:
    assert "1234" not in redaction.text_of(Hidden("ann", "1234"))
