"""JSON with tags: what comes back exactly, and what is refused."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from leek.tagged_json import NotExact, decode, encode
from tests.unit.values import (
    BERLIN,
    JSON_VALUES,
    NOON,
    PICKLE_VALUES,
    exactly,
    make_value,
    type_name,
)


def through(value: Any) -> Any:
    return decode(encode(value))


# Round trips


@pytest.mark.parametrize("value", JSON_VALUES, ids=type_name)
def test_a_value_comes_back_exactly(value: Any) -> None:
    assert exactly(through(value)) == exactly(value)


@pytest.mark.parametrize("value", JSON_VALUES, ids=type_name)
@pytest.mark.parametrize(
    "nest", [lambda value: [value], lambda value: {"a": (value,)}, lambda value: {"$a": value}]
)
def test_a_nested_value_comes_back_exactly(nest: Callable[[Any], Any], value: Any) -> None:
    assert exactly(through(nest(value))) == exactly(nest(value))


@pytest.mark.parametrize("seed", range(100))
def test_any_value_of_any_shape_comes_back_exactly(seed: int) -> None:
    value = make_value(random.Random(seed), JSON_VALUES)
    assert exactly(through(value)) == exactly(value)


def test_a_dictionary_keeps_its_order() -> None:
    assert list(through({"z": 1, "a": 2, "m": 3})) == ["z", "a", "m"]


# What is written


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (NOON, '{"$datetime": "2026-12-24T12:00:00.000001"}'),
        (NOON.replace(tzinfo=UTC), '{"$datetime": "2026-12-24T12:00:00.000001+00:00"}'),
        (
            datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
            '{"$datetime": ["2026-10-25T02:30:00", "Europe/Berlin", 1]}',
        ),
        (time(12, 30), '{"$time": "12:30:00"}'),
        (timedelta(days=1, seconds=2), '{"$timedelta": [1, 2, 0]}'),
        (UUID(int=1), '{"$uuid": "00000000-0000-0000-0000-000000000001"}'),
        (Decimal("1.10"), '{"$decimal": "1.10"}'),
        (b"leek", '{"$bytes": "bGVlaw=="}'),
        ((1, 2), '{"$tuple": [1, 2]}'),
        ({1}, '{"$set": [1]}'),
        ({"$a": 1}, '{"$dict": [["$a", 1]]}'),
        ("Grüße", '"Grüße"'),
    ],
)
def test_each_tag_is_readable(value: object, text: str) -> None:
    assert encode(value) == text


@pytest.mark.parametrize("value", ["a\x00b", "\ud800", b"\x00", {"\x00\ud800": 1}], ids=type_name)
def test_the_text_is_one_that_every_database_stores(value: object) -> None:
    text = encode(value)
    assert "\x00" not in text
    text.encode("utf-8")


# What is refused


@pytest.mark.parametrize("value", PICKLE_VALUES, ids=type_name)
@pytest.mark.parametrize(
    "nest", [lambda value: value, lambda value: [value], lambda value: {"a": (value,)}]
)
def test_what_would_not_come_back_exactly_is_refused(
    nest: Callable[[Any], Any], value: Any
) -> None:
    with pytest.raises(NotExact):
        encode(nest(value))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "JSON cannot hold nan exactly"),
        (object(), "JSON cannot hold builtins.object exactly"),
        ({1: "a"}, "keys that are not text"),
        (time(12, fold=1), "this time exactly"),
        (NOON.replace(fold=1), "this time zone exactly"),
        ("\ud83d\ude00", "two halves of a surrogate pair"),
        (10**5000, "Exceeds the limit"),
    ],
    ids=type_name,
)
def test_the_reason_is_told(value: object, reason: str) -> None:
    with pytest.raises(NotExact, match=reason):
        encode(value)


def test_a_list_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotExact, match="contains itself"):
        encode(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not JSON",
        '{"$date": "nonsense"}',
        '{"$date": 5}',
        '{"$decimal": "nonsense"}',
        '{"$timedelta": 5}',
        '{"$timedelta": [1e30, 0, 0]}',
        '{"$datetime": ["2026-12-24", "No/Such/Zone", 0]}',
        '{"$datetime": ["x"]}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:40],
)
def test_a_text_of_another_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode(text)
