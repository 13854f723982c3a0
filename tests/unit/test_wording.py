"""Numbers and spans of time as the admin tells them."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone
from django.utils.translation import override

from leek.admin.wording import count, moment, number, percentage, span
from leek.figures import Number


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "\N{EN DASH}"),
        (0.0, "0 ms"),
        (0.0004, "0.4 ms"),
        (0.002, "2 ms"),
        (0.25, "250 ms"),
        (1.0, "1 s"),
        (4.24, "4.2 s"),
        (42.0, "42 s"),
        (60.0, "1 min"),
        (61.9, "1 min 2 s"),
        (3600.0, "1 h"),
        (3720.0, "1 h 2 min"),
        (86_400.0, "1 d"),
        (100_000_000.0, "1,157 d 9 h"),
    ],
)
def test_a_span_of_time_has_two_figures_or_two_units(seconds: float | None, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize("seconds", [0.9999, 59.99, 9.99, 0.00999])
def test_a_span_is_not_rounded_to_more_than_its_unit_has(seconds: float) -> None:
    assert span(seconds) in ("1 s", "1 min", "10 s", "10 ms")


@pytest.mark.parametrize(
    ("share", "words"), [(0, "0 %"), (0.004, "0.4 %"), (0.25, "25 %"), (1.0, "100 %")]
)
def test_a_share_is_told_in_percent(share: float, words: str) -> None:
    assert percentage(share) == words


def test_numbers_are_written_as_the_reader_writes_them() -> None:
    assert number(1234567) == "1,234,567"
    with override("de"):
        assert number(1234567) == "1.234.567"
        assert span(4.24) == "4,2 s"
        assert count(Number(500_000, is_capped=True)) == "500.000+"
        assert count(Number(1_234)) == "1.234"


def test_a_moment_of_today_is_a_time_of_day_and_one_of_another_day_has_its_date() -> None:
    with timezone.override("Europe/Rome"):
        noon = timezone.localtime().replace(hour=12, minute=2, second=3)
        assert ">12:02:03<" in moment(noon)
        assert f">{noon - timedelta(days=1):%m/%d/%Y} 12:02:03<" in moment(noon - timedelta(days=1))


def test_a_moment_is_told_in_the_readers_time_zone_and_language() -> None:
    at = datetime.fromisoformat("2026-01-27T23:02:03+00:00")
    with timezone.override("Europe/Rome"), override("de"):
        told = moment(at)
    assert ">28.01.2026 00:02:03<" in told
    assert 'datetime="2026-01-28T00:02:03+01:00"' in told
    assert 'title="28. Januar 2026 00:02"' in told
