"""How many tasks are claimed ahead of the workers."""

import pytest

from leek.server.pace import BRIEFLY_AHEAD, MOST_AHEAD, WORK_AHEAD, Pace


def pace_of(seconds: float, *, workers: int = 1, claims: int = 20) -> Pace:
    """Return a pace that has seen tasks of one duration, and many full claims."""
    pace = Pace(workers)
    pace.record(seconds)
    for _ in range(claims):
        pace.claimed(pace.ahead_within(WORK_AHEAD) + workers, 0.001)
    return pace


def test_nothing_is_claimed_ahead_before_a_task_was_measured() -> None:
    pace = Pace(4)
    pace.claimed(1000, 0.001)
    assert pace.ahead_within(WORK_AHEAD) == 0


def test_nothing_is_claimed_ahead_before_the_first_claim() -> None:
    pace = Pace(4)
    pace.record(0.0001)
    assert pace.ahead_within(WORK_AHEAD) == 0


@pytest.mark.parametrize("seconds", [0.101, 1.0, 3600.0])
def test_slow_tasks_are_not_hoarded(seconds: float) -> None:
    assert pace_of(seconds).ahead_within(WORK_AHEAD) == 0


@pytest.mark.parametrize(
    ("seconds", "workers", "ahead"), [(0.001, 1, 100), (0.01, 1, 10), (0.01, 8, 80), (0.05, 3, 6)]
)
def test_a_tenth_of_a_second_of_work_is_claimed_ahead(
    seconds: float, workers: int, ahead: int
) -> None:
    assert pace_of(seconds, workers=workers).ahead_within(WORK_AHEAD) == pytest.approx(ahead, abs=1)


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e-5])
def test_there_is_a_most_for_tiny_tasks(seconds: float) -> None:
    assert pace_of(seconds).ahead_within(WORK_AHEAD) == MOST_AHEAD


def test_what_may_wait_at_most_doubles_from_claim_to_claim() -> None:
    pace = Pace(1)
    pace.record(0.00001)
    seen = []
    while pace.ahead_within(WORK_AHEAD) < MOST_AHEAD:
        seen.append(pace.ahead_within(WORK_AHEAD))
        pace.claimed(pace.ahead_within(WORK_AHEAD) + 1, 0.001)
    assert seen == [0, 4, 12, 28, 60, 124, 252, 508]


def test_an_empty_claim_does_not_shrink_what_may_be_claimed() -> None:
    pace = pace_of(0.001)
    before = pace.ahead_within(WORK_AHEAD)
    pace.claimed(0, 0.001)
    assert pace.ahead_within(WORK_AHEAD) == before


def test_a_pace_follows_tasks_that_become_slow() -> None:
    pace = pace_of(0.0001)
    for _ in range(100):
        pace.record(1.0)
    assert pace.ahead_within(WORK_AHEAD) == 0


def test_one_slow_task_among_tiny_ones_is_felt_at_once() -> None:
    pace = pace_of(0.0001)
    pace.record(10.0)
    assert pace.ahead_within(WORK_AHEAD) == 0


def test_a_pace_follows_tasks_that_become_quick() -> None:
    pace = pace_of(1.0)
    for _ in range(1000):
        pace.record(0.0001)
        pace.claimed(pace.ahead_within(WORK_AHEAD) + 1, 0.001)
    assert pace.ahead_within(WORK_AHEAD) > 500


def test_a_forgotten_pace_begins_anew() -> None:
    pace = pace_of(0.0001)
    pace.forget()
    pace.record(0.0001)
    assert pace.ahead_within(WORK_AHEAD) == 0


@pytest.mark.parametrize(
    ("seconds", "workers", "refill_at"), [(1.0, 1, 0), (1.0, 4, 3), (0.001, 1, 50), (0.06, 1, 1)]
)
def test_more_is_claimed_when_half_of_what_may_wait_is_begun(
    seconds: float, workers: int, refill_at: int
) -> None:
    assert pace_of(seconds, workers=workers).refill_at(WORK_AHEAD) == refill_at


def test_room_is_for_what_the_workers_can_begin_and_what_may_wait() -> None:
    pace = pace_of(0.01, workers=2)
    assert [pace.room(unfinished, WORK_AHEAD) for unfinished in (0, 2, 22)] == [22, 20, 0]
    assert [pace.room(unfinished, BRIEFLY_AHEAD) for unfinished in (0, 2, 22)] == [4, 2, -18]


@pytest.mark.parametrize(
    ("claim", "seconds"), [(0.0, BRIEFLY_AHEAD), (0.03, BRIEFLY_AHEAD + 0.03), (5.0, WORK_AHEAD)]
)
def test_a_task_may_wait_as_long_as_an_idle_sibling_would_need_for_its_claim(
    claim: float, seconds: float
) -> None:
    pace = Pace(1)
    pace.claimed(1, claim)
    assert pace.most_wait(sibling_has_room=True) == pytest.approx(seconds)
    assert pace.most_wait(sibling_has_room=False) == WORK_AHEAD
