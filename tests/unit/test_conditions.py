"""Under what conditions a task may start."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leek.conditions import Rate, parse_rate, service_named

RATE = Rate(3, 20.0)  # whose slices are a second long


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1/s", Rate(1, 1)),
        ("100/m", Rate(100, 60)),
        ("5/10s", Rate(5, 10)),
        ("2000/d", Rate(2000, 86_400)),
        ("7/2h", Rate(7, 7_200)),
    ],
)
def test_a_rate_is_a_number_of_starts_in_a_period(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "100", "100/", "/m", "0/m", "5/0s", "-1/s", "1.5/s", "9/w"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the caller says what is wrong)
        parse_rate(text)


@pytest.mark.parametrize(
    "name",
    [
        "smtp",
        "smtp:bulk",
        "database:default",
        "cache:default",
        "tcp:mail.example.com:25",
        "tcp:[::1]:25",
        "shop.checks.warehouse",
    ],
)
def test_services_have_names(name: str) -> None:
    assert service_named(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "smtp:25",
            "smtp:",
            "smpt",
            "database:",
            "cache:",
            "tcp:mail",
            "tcp::25",
            "tcp:x:y",
            "shop.",
        ),
        *("a." * 200 + "b", "limit:x", "rate:x", "shop.checks.ware-house"),
    ],
)
def test_what_names_no_service_is_refused(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the caller says what is wrong)
        service_named(name)


def starts_at(*times: float) -> dict[str, int]:
    """Return what is noted of starts at these times."""
    starts: dict[str, int] = {}
    for now in times:
        assert RATE.free(starts, now)
        starts = RATE.noted(starts, now)
    return starts


def test_as_many_may_start_as_the_rate_has() -> None:
    assert RATE.free({}, 100.0) == 3
    assert RATE.free(starts_at(100.0, 100.5, 101.0), 101.0) == 0


def test_a_start_counts_for_the_period_and_a_little_longer() -> None:
    starts = starts_at(100.0, 100.5, 110.0)
    assert RATE.free(starts, 120.9) == 0
    assert RATE.free(starts, 122.0) == 2
    assert RATE.free(starts, 131.9) == 2
    assert RATE.free(starts, 132.0) == 3


def test_it_is_known_when_the_next_may_start() -> None:
    starts = starts_at(100.0, 100.5, 110.0)
    assert RATE.seconds_to_next(starts, 110.0) == pytest.approx(12.0)
    assert RATE.free(starts, 110.0 + RATE.seconds_to_next(starts, 110.0)) == 2
    assert RATE.seconds_to_next(starts, 122.0) == 0.0


def test_what_does_not_count_any_more_is_forgotten() -> None:
    assert RATE.noted(starts_at(100.0, 100.5, 101.0), 1000.0) == {"1000": 1}


@given(
    number=st.integers(1, 5),
    period=st.floats(0.5, 100),
    pauses=st.lists(st.floats(0, 30), max_size=80),
)
def test_no_period_ever_has_more_starts(number: int, period: float, pauses: list[float]) -> None:
    rate, now = Rate(number, period), 1_000_000.0
    starts: dict[str, int] = {}
    began: list[float] = []
    for pause in pauses:
        now += pause
        if rate.free(starts, now):
            starts = rate.noted(starts, now)
            began.append(now)
    for position, time in enumerate(began[number:]):
        assert time - began[position] > period
