"""How many tasks are claimed ahead of the workers."""

import pytest

from leek.server.pace import MOST_AHEAD, Pace


def pace_of(seconds: float, *, workers: int = 1, claims: int = 20) -> Pace:
    """Return a pace that has seen tasks of one duration, and many full claims."""
    pace = Pace(workers)
    pace.record(seconds)
    for _ in range(claims):
        pace.claimed(pace.ahead + workers)
    return pace


def test_nothing_is_claimed_ahead_before_a_task_was_measured() -> None:
    pace = Pace(4)
    pace.claimed(1000)
    assert pace.ahead == 0


def test_nothing_is_claimed_ahead_before_the_first_claim() -> None:
    pace = Pace(4)
    pace.record(0.0001)
    assert pace.ahead == 0


@pytest.mark.parametrize("seconds", [0.101, 1.0, 3600.0])
def test_slow_tasks_are_not_hoarded(seconds: float) -> None:
    assert pace_of(seconds).ahead == 0


@pytest.mark.parametrize(
    ("seconds", "workers", "ahead"), [(0.001, 1, 100), (0.01, 1, 10), (0.01, 8, 80), (0.05, 3, 6)]
)
def test_a_tenth_of_a_second_of_work_is_claimed_ahead(
    seconds: float, workers: int, ahead: int
) -> None:
    assert pace_of(seconds, workers=workers).ahead == pytest.approx(ahead, abs=1)


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e-5])
def test_there_is_a_most_for_tiny_tasks(seconds: float) -> None:
    assert pace_of(seconds).ahead == MOST_AHEAD


def test_what_may_wait_at_most_doubles_from_claim_to_claim() -> None:
    pace = Pace(1)
    pace.record(0.00001)
    seen = []
    while pace.ahead < MOST_AHEAD:
        seen.append(pace.ahead)
        pace.claimed(pace.ahead + 1)
    assert seen == [0, 4, 12, 28, 60, 124, 252, 508]


def test_an_empty_claim_does_not_shrink_what_may_be_claimed() -> None:
    pace = pace_of(0.001)
    before = pace.ahead
    pace.claimed(0)
    assert pace.ahead == before


def test_a_pace_follows_tasks_that_become_slow() -> None:
    pace = pace_of(0.0001)
    for _ in range(100):
        pace.record(1.0)
    assert pace.ahead == 0


def test_one_slow_task_among_tiny_ones_is_felt_at_once() -> None:
    pace = pace_of(0.0001)
    pace.record(10.0)
    assert pace.ahead == 0


def test_a_pace_follows_tasks_that_become_quick() -> None:
    pace = pace_of(1.0)
    for _ in range(1000):
        pace.record(0.0001)
        pace.claimed(pace.ahead + 1)
    assert pace.ahead > 500


def test_a_forgotten_pace_begins_anew() -> None:
    pace = pace_of(0.0001)
    pace.forget()
    pace.record(0.0001)
    assert pace.ahead == 0
