"""Values that JSON holds exactly, values that only a pickle holds, and how to compare them."""

import random
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils.safestring import SafeString

from tests.site import tasks

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime.fromisoformat("2026-12-24T12:00:00.000001")


class Count(int):
    """A number of its own type."""


class Colour(IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


class Moment(datetime):
    pass


Pair = namedtuple("Pair", "first second")


@dataclass(frozen=True)
class Order:
    number: int
    lines: tuple[str, ...]


class OwnZone(tzinfo):
    """A time zone that JSON knows nothing of."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        """Return an odd offset."""
        return timedelta(minutes=17)

    def dst(self, moment: datetime | None) -> None:
        """Know of no summer."""

    def tzname(self, moment: datetime | None) -> str:
        """Return its name."""
        return "own"

    def __repr__(self) -> str:
        return "OwnZone()"


def exactly(value: Any) -> Any:
    """Return what equals only for the same value with the same types, all the way down."""
    if isinstance(value, dict):
        return type(value), [(exactly(key), exactly(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), tuple(exactly(item) for item in value)
    if isinstance(value, set | frozenset):
        return type(value), frozenset(exactly(item) for item in value)
    if isinstance(value, int):
        return type(value), hex(value)
    return type(value), repr(value)


def type_name(value: object) -> str:
    return type(value).__name__


JSON_VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    2**63,
    -(2**200),
    10**4000,
    0.0,
    -0.0,
    0.1,
    5e-324,
    1.7976931348623157e308,
    "",
    "text",
    "naïve 😀",
    "a\x00b",
    "\ud800",
    "\udfff😀\x00",
    '"$date"',
    "$date",
    ":",
    [],
    {},
    (),
    set(),
    [1, [2, [3]]],
    {"a": {"b": {}}},
    {"": 0, "é": 1, "a\x00": 2, "\ud800": 3},
    {"z": 1, "a": 2, "m": 3},
    {"$date": "2026-12-24"},
    {"$": 1},
    {"$dict": [["a", 1]]},
    {"$tuple": [1], "b": {"$set": [(2,)]}},
    {"$unknown": {"$tuple": ({"$x": 1},)}},
    (1, (2, [3, {"a": (4,)}])),
    {1, 2, 3},
    {(1, "a"), (2, b"b")},
    {None, date(2026, 12, 24), UUID(int=5)},
    b"",
    bytes(range(256)),
    date.min,
    date.max,
    datetime.min,  # noqa: DTZ901
    datetime.max,  # noqa: DTZ901
    NOON,
    NOON.replace(microsecond=0),
    NOON.replace(tzinfo=UTC),
    NOON.replace(tzinfo=timezone(timedelta(hours=-9, minutes=-30))),
    NOON.replace(tzinfo=timezone(timedelta(seconds=1, microseconds=1))),
    NOON.replace(tzinfo=BERLIN),
    datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN),
    datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
    datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN, fold=1),
    datetime.min.replace(tzinfo=BERLIN),
    datetime.max.replace(tzinfo=ZoneInfo("UTC")),
    time.min,
    time.max,
    time(12, 30),
    timedelta(0),
    timedelta.min,
    timedelta.max,
    timedelta.resolution,
    -timedelta.resolution,
    timedelta(days=-1, microseconds=1),
    UUID(int=0),
    UUID("12345678-1234-5678-1234-567812345678"),
    Decimal(0),
    Decimal("-0"),
    Decimal("1.10"),
    Decimal("1E+3"),
    Decimal("0E-10"),
    Decimal("1" * 100 + ".5"),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("-Infinity"),
]

PICKLE_VALUES: list[Any] = [
    "\ud83d\ude00",  # not one character, but two halves of it
    float("nan"),
    float("inf"),
    float("-inf"),
    10**5000,
    Count(5),
    Colour.RED,
    Text("text"),
    SafeString("<b>"),
    Moment(2026, 12, 24),
    Pair(1, 2),
    Order(5, ("a", "b")),
    OrderedDict(b=1, a=2),
    defaultdict(list, a=[1]),
    frozenset({1, 2}),
    {1: "a"},
    {None: 1, "b": 2},
    {(1, 2): 3},
    {Text("key"): 1},
    {frozenset({1}), 2},
    bytearray(b"abc"),
    complex(1, 2),
    range(5),
    Fraction(1, 3),
    PurePosixPath("/a/b"),
    time(12, 30, tzinfo=UTC),
    time(12, 30, fold=1),
    NOON.replace(fold=1),
    NOON.replace(tzinfo=UTC, fold=1),
    NOON.replace(tzinfo=OwnZone()),
    NOON.replace(tzinfo=timezone(timedelta(hours=1), "CET")),
    len,
    tasks.Calculator,
    UTC,
    BERLIN,
]


def make_value(chance: random.Random, leaves: list[Any], depth: int = 4) -> Any:
    """Return any value of any shape, made of these leaves."""
    kind = chance.choice(["leaf", "leaf", "list", "tuple", "dict", "$dict"])
    if kind == "leaf" or not depth:
        return chance.choice(leaves)
    items = [make_value(chance, leaves, depth - 1) for _ in range(chance.randrange(4))]
    if kind == "list":
        return items
    if kind == "tuple":
        return tuple(items)
    prefix = "$" if kind == "$dict" else "key"
    return {prefix + chance.choice(["date", "tuple", "", "é"]): item for item in items}
