"""Numbers as curves."""

import pytest

from leek import plots


@pytest.mark.parametrize(
    ("values", "least", "scale"),
    [
        ([], 4, 4),
        ([0, 0, None], 4, 4),
        ([3, 5], 4, 10),
        ([11], 4, 20),
        ([40], 4, 40),
        ([41], 4, 100),
        ([123_456], 4, 200_000),
        ([0.0003], 0.0001, 0.0004),
        ([None, 0.07], 0.01, 0.1),
    ],
)
def test_an_axis_ends_at_a_round_number_that_no_value_exceeds(
    values: list[float | None], least: float, scale: float
) -> None:
    assert plots.scale_of(values, least) == pytest.approx(scale)


@pytest.mark.parametrize(
    ("seconds", "scale"),
    [(0.5, 1), (3, 4), (39, 40), (59, 60), (61, 120), (241, 600), (3601, 7200), (7300, 10_000)],
)
def test_an_axis_of_times_ends_at_whole_minutes_where_there_are_some(
    seconds: float, scale: float
) -> None:
    assert plots.scale_of_seconds([seconds], 0.01) == pytest.approx(scale)


def test_nothing_is_at_the_bottom_and_the_end_of_the_axis_at_the_top() -> None:
    heights = [plots.height_of(value, 10) for value in (0, 5, 10, 99)]
    assert heights == [plots.BOTTOM, (plots.BOTTOM + plots.TOP) / 2, plots.TOP, plots.TOP]


def test_slots_share_the_width() -> None:
    assert plots.middle_of(0, 1) == (plots.LEFT + plots.RIGHT) / 2
    middles = [plots.middle_of(number, 4) for number in range(4)]
    assert min(middles) > plots.LEFT
    assert max(middles) < plots.RIGHT
    assert middles == sorted(middles)


def test_a_line_ends_where_there_is_no_value() -> None:
    path = plots.line([1, 2, None, 3, None, None, 4, 5], 5)
    assert path.count("M") == 3
    assert path.count("L") == 2
    assert plots.line([None, None], 5) == plots.line([], 5) == ""


def test_a_value_between_two_gaps_is_a_dot() -> None:
    at = f"{plots.middle_of(1, 3):.1f} {plots.TOP:.1f}"
    assert plots.line([None, 5, None], 5) == f"M{at}h0"


def test_each_value_but_zero_has_a_bar() -> None:
    assert plots.bars([0, 3, 0, 5], 5).count("M") == 2
    assert plots.bars([0, 0], 5) == plots.bars([], 5) == ""


def test_a_bar_can_be_seen_however_small_it_is() -> None:
    assert f"V{plots.BOTTOM - plots.LEAST:.1f}h" in plots.bars([1], 1_000_000)
