"""What is counted of attempts, and what can be read from it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leek.outcome import (
    Blocked,
    Claimed,
    Crash,
    ErrorReport,
    Failure,
    Outcome,
    Retry,
    Success,
    Undone,
)
from leek.tally import (
    ALL_NAMES,
    BEGINNING,
    BOUNDS,
    EVER,
    HOUR,
    MINUTE,
    Slice,
    Tally,
    beginning_of,
    is_counted,
    quantile,
    slices_of,
    total,
)

DUE = datetime(2026, 11, 28, 14, 2, 3, tzinfo=UTC)
CLAIMED = Claimed(7, "shop.send", "payload", 0, 0, 0, None, False, 0.0, DUE, 1, 1)
ERROR = ErrorReport("ValueError", "as asked")
PLACES = len(BOUNDS) + 1

counts = st.lists(st.integers(0, 50), min_size=PLACES, max_size=PLACES)
shares = st.floats(0, 1)


def times(waited: float = 0.0, ran: float = 0.0) -> tuple[Claimed, datetime, datetime]:
    """Return what an outcome begins with, of an attempt that waited and ran so many seconds."""
    started = DUE + timedelta(seconds=waited)
    return CLAIMED, started, started + timedelta(seconds=ran)


def tally_of(*outcomes: Outcome) -> Tally:
    """Return the tally of outcomes."""
    tally = Tally()
    for outcome in outcomes:
        tally.count(outcome)
    return tally


def kinds(tally: Tally) -> tuple[int, int, int, int]:
    """Return how many attempts ended in each way."""
    return tally.succeeded, tally.retried, tally.crashed, tally.failed


def at(**numbers: int) -> list[int]:
    """Return counts that are 0 but at these places, named like `_3`."""
    return [numbers.get(f"_{place}", 0) for place in range(PLACES)]


# Counting


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Success(*times(), None), (1, 0, 0, 0)),
        (Retry(*times(), ERROR, 1.0), (0, 1, 0, 0)),
        (Failure(*times(), ERROR), (0, 0, 0, 1)),
        (Crash(*times(), "died", 3), (0, 0, 1, 0)),
        (Crash(*times(), "died", 1), (0, 0, 1, 1)),
    ],
)
def test_each_kind_of_end_is_counted(outcome: Outcome, expected: tuple[int, ...]) -> None:
    tally = tally_of(outcome)
    assert kinds(tally) == expected
    assert tally.attempts == 1
    assert is_counted(outcome)


@pytest.mark.parametrize("outcome", [Blocked(*times(), "smtp"), Undone(*times())])
def test_an_attempt_that_did_not_begin_is_not_counted(outcome: Outcome) -> None:
    assert not is_counted(outcome)


def test_waiting_and_running_are_added_up_and_counted_by_bounds() -> None:
    tally = tally_of(Success(*times(0.25, 0.002), None), Success(*times(0.2501, 9000), None))
    assert tally.waited == pytest.approx(0.5001)
    assert tally.ran == pytest.approx(9000.002)
    assert tally.waits == at(_7=1, _8=1)  # a bound belongs to what is below it
    assert tally.runs == at(_1=1, _18=1)


def test_clocks_that_disagree_make_no_time_negative() -> None:
    tally = tally_of(Success(*times(-5, -5), None))
    assert (tally.waited, tally.ran) == (0, 0)
    assert tally.waits == tally.runs == at(_0=1)


# Adding up


def test_tallies_are_added_up() -> None:
    one = tally_of(Success(*times(1, 2), None), Retry(*times(1, 2), ERROR, 1.0))
    other = tally_of(Failure(*times(3, 4), ERROR))
    whole = total([one, other])
    assert kinds(whole) == (1, 1, 0, 1)
    assert (whole.waited, whole.ran) == (5, 8)
    assert whole.attempts == 3
    assert one.attempts == 2


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [([1, 2], [1, 2, 3], [2, 4, 3]), ([], [5], [5]), ([1, 2, 3], [4], [5, 2, 3])],
)
def test_those_of_releases_with_fewer_bounds_are_added_up_as_well(
    one: list[int], other: list[int], expected: list[int]
) -> None:
    tally = Tally(waits=one, runs=other)
    tally.add(Tally(waits=other, runs=one))
    assert tally.waits == tally.runs == expected


def test_no_tallies_are_an_empty_one() -> None:
    assert total([]) == Tally()
    assert Tally().attempts == 0


# Slices


def test_a_minute_and_an_hour_begin_where_those_of_utc_do() -> None:
    nepal = timezone(timedelta(hours=5, minutes=45))
    time = datetime(2026, 11, 28, 14, 59, 59, 999_999, tzinfo=nepal)
    assert beginning_of(MINUTE, time) == datetime(2026, 11, 28, 9, 14, tzinfo=UTC)
    assert beginning_of(HOUR, time) == datetime(2026, 11, 28, 9, tzinfo=UTC)
    assert beginning_of(EVER, time) == BEGINNING


def test_slices_have_all_tasks_by_the_minute_and_each_name_by_the_hour_and_for_ever() -> None:
    first, second = (
        datetime(2026, 11, 28, 14, 59, tzinfo=UTC),
        datetime(2026, 11, 28, 15, 0, tzinfo=UTC),
    )
    found = slices_of(
        {
            (first, "a"): Tally(succeeded=1),
            (first, "b"): Tally(succeeded=2),
            (second, "a"): Tally(succeeded=4),
        }
    )
    assert {where: tally.succeeded for where, tally in found.items()} == {
        Slice(MINUTE, first, ALL_NAMES): 3,
        Slice(MINUTE, second, ALL_NAMES): 4,
        Slice(HOUR, first.replace(minute=0), "a"): 1,
        Slice(HOUR, first.replace(minute=0), "b"): 2,
        Slice(HOUR, second, "a"): 4,
        Slice(EVER, BEGINNING, "a"): 5,
        Slice(EVER, BEGINNING, "b"): 2,
    }


# Quantiles


def test_there_is_no_quantile_of_nothing() -> None:
    assert quantile([], 0.5) is None
    assert quantile(at(), 0.5) is None


@pytest.mark.parametrize(
    ("numbers", "share", "expected"),
    [
        (at(_0=10), 0.5, 0.0005),  # the middle of 0 to 0.001
        (at(_0=10), 1.0, 0.001),
        (at(_8=4), 0.25, 0.25 + 0.25 / 4),  # a quarter of 0.25 to 0.5
        (at(_9=1, _10=1), 0.5, 1.0),
        (at(_9=1, _10=1), 0.75, 1.75),  # half of 1 to 2.5
        (at(_9=90, _12=10), 0.95, 7.5),  # half of 5 to 10
        (at(_5=1), 0.0, 0.025),
        (at(_18=5), 0.5, 7200.0),  # above all bounds: the last one
        (at(_0=1, _18=99), 0.5, 7200.0),
        ([0, 4], 0.5, 0.00175),  # of a release with fewer bounds
    ],
)
def test_a_quantile_is_what_it_is_by_hand(
    numbers: list[int], share: float, expected: float
) -> None:
    assert quantile(numbers, share) == pytest.approx(expected)


@given(counts, shares)
def test_a_quantile_is_within_the_bounds_of_what_was_counted(
    numbers: list[int], share: float
) -> None:
    found = quantile(numbers, share)
    places = [place for place, number in enumerate(numbers) if number]
    if found is None:
        assert not places
    else:
        edges = [0.0, *BOUNDS, BOUNDS[-1]]
        assert edges[places[0]] <= found <= edges[places[-1] + 1]


@given(counts, shares, shares)
def test_a_larger_share_has_no_smaller_quantile(
    numbers: list[int], one: float, other: float
) -> None:
    if sum(numbers):
        low, high = (quantile(numbers, share) for share in sorted((one, other)))
        assert low is not None
        assert high is not None
        assert low <= high


@given(st.lists(st.floats(0, 8000), min_size=1, max_size=30), shares)
def test_a_quantile_is_in_the_same_place_as_the_value_it_stands_for(
    waited: list[float], share: float
) -> None:
    tally = tally_of(*(Success(*times(seconds), None) for seconds in waited))
    found = quantile(tally.waits, share)
    assert found is not None
    assert 0 <= found <= BOUNDS[-1]
    assert sum(tally.waits) == len(waited)
    assert tally.waited == pytest.approx(sum(waited), abs=1e-4)
