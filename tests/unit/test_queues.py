"""Which queues a server serves: names and patterns."""

import re

import pytest

from leek.queues import (
    Queues,
    adds_to,
    check_entry,
    described,
    entry_of,
    may_share,
    regex_of,
)


def matches(entry: str, queue: str) -> bool:
    return re.match(regex_of([entry]), queue) is not None


@pytest.mark.parametrize(
    ("entry", "queue"),
    [
        ("mail", "mail"),
        ("mail-*", "mail-"),
        ("mail-*", "mail-news"),
        ("*-mail", "news-mail"),
        ("a*b*c", "abc"),
        ("a*b*c", "a-b-b-c"),
        ("*", "anything"),
        ("**", "anything"),
        ("mail-*", "mail-several\nlines\n"),
        ("50%_*", "50%_off"),
        ("back\\slash*", "back\\slash"),
        ("(a|b)[c]+?{1}^$.*", "(a|b)[c]+?{1}^$."),
        ("süß *", "süß ☕"),
    ],
)
def test_a_star_stands_for_any_text(entry: str, queue: str) -> None:
    assert matches(entry, queue)


@pytest.mark.parametrize(
    ("entry", "queue"),
    [
        ("mail", "mail "),
        ("mail", "mail\n"),
        ("mail", "Mail"),
        ("mail-*", "Mail-news"),
        ("mail-*", "e-mail-news"),
        ("*-mail", "news-mail-late"),
        ("a*b", "ba"),
        ("50%", "50 and more"),
        ("a_c*", "abc"),
        ("a.c*", "abc"),
        ("a?*", "a"),
        ("a|b*", "a"),
    ],
)
def test_all_else_stands_for_itself(entry: str, queue: str) -> None:
    assert not matches(entry, queue)


def test_a_queue_is_of_the_first_entry_that_it_is_like() -> None:
    entries = ["mail-urgent", "mail-*", "*"]
    assert entry_of("mail-urgent", entries) == "mail-urgent"
    assert entry_of("mail-news", entries) == "mail-*"
    assert entry_of("news", entries) == "*"
    assert entry_of("news", ["mail"]) is None


def test_a_queue_is_of_an_entry_in_other_letters_only_where_there_is_none_in_its_own() -> None:
    assert entry_of("MAIL", ["mail", "M*"]) == "M*"
    assert entry_of("MAIL", ["mail"]) == "mail"


@pytest.mark.parametrize("entry", ["x" * 101, "x" * 101 + "*", "a\0", "a\0*", "\ud800*"])
def test_what_no_queue_can_be_like_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        check_entry(entry)


@pytest.mark.parametrize("entry", ["x" * 100, "x" * 100 + "*", "*", "a=b", "%", "\\"])
def test_what_a_queue_may_be_like_is_accepted(entry: str) -> None:
    check_entry(entry)


def test_queues_are_described_as_the_option_takes_them() -> None:
    assert described(None) == "all queues"
    assert described(["default", "mail-*"]) == "queues default, mail-*"
    assert described({"default": 3, "mail-*": 1}) == "queues default=3, mail-*=1"


@pytest.mark.parametrize(
    ("others", "entries", "does"),
    [
        (None, None, False),
        (["a"], None, False),
        (None, ["a"], True),
        (["a"], ["a", "b"], False),
        ({"a": 3}, ["b"], True),
        (["a", "b"], ["a"], True),
        (["mail-a"], ["mail-*"], False),
        (["mail-*"], ["mail-*"], False),
        (["mail-*"], ["mail-a"], True),
        (["*"], ["mail-*"], True),
    ],
)
def test_entries_may_add_to_others(others: Queues, entries: Queues, does: bool) -> None:
    assert adds_to(others, entries) is does


@pytest.mark.parametrize(
    ("one", "other", "may"),
    [
        (None, ["a"], True),
        (["a"], ["b"], False),
        (["a", "b"], {"b": 1}, True),
        (["mail-a"], ["mail-*"], True),
        (["post-*"], ["mail-a"], False),
        (["m*"], ["*l"], True),
    ],
)
def test_entries_may_share_queues(one: Queues, other: Queues, may: bool) -> None:
    assert may_share(one, other) is may
    assert may_share(other, one) is may
