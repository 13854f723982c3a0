"""How queues with weights share the workers."""

from collections import Counter
from itertools import pairwise

import pytest

from leek.server.shares import Shares


def taken(shares: Shares, number: int, *lanes: str) -> list[str]:
    """Take so many tasks where these lanes always have some."""
    order = []
    for _ in range(number):
        order.append(shares.next(lanes))
        shares.took(order[-1])
    return order


def test_tasks_are_shared_by_the_weights() -> None:
    shares = Shares({"a": 3, "b": 1})
    assert Counter(taken(shares, 400, "a", "b")) == {"a": 300, "b": 100}


def test_a_light_lane_is_not_kept_waiting_until_the_end_of_a_round() -> None:
    order = taken(Shares({"a": 3, "b": 1}), 40, "a", "b")
    places = [place for place, lane in enumerate(order) if lane == "b"]
    assert max(after - before for before, after in pairwise(places)) <= 5


@pytest.mark.parametrize("weights", [{"a": 1, "b": 1, "c": 1}, {"a": 7, "b": 2, "c": 5}])
def test_no_lane_is_ever_more_than_a_task_from_its_share(weights: dict[str, int]) -> None:
    shares, counts = Shares(weights), Counter[str]()
    for number in range(1, 500):
        counts.update(taken(shares, 1, *weights))
        for lane, weight in weights.items():
            assert abs(counts[lane] - number * weight / sum(weights.values())) < 2


def test_what_one_lane_leaves_is_for_the_others() -> None:
    shares = Shares({"a": 1, "b": 1, "c": 2})
    assert Counter(taken(shares, 60, "a", "c")) == {"a": 20, "c": 40}


def test_a_lane_that_was_empty_gets_no_credit_for_it() -> None:
    shares = Shares({"a": 1, "b": 1})
    taken(shares, 1000, "a")
    assert Counter(taken(shares, 10, "a", "b")) == {"a": 5, "b": 5}


def test_a_lane_that_had_all_for_a_while_does_not_pay_for_it() -> None:
    shares = Shares({"a": 1, "b": 1})
    taken(shares, 10, "a", "b")
    taken(shares, 1000, "b")
    assert taken(shares, 10, "a", "b").count("b") in (4, 5)


def test_a_claim_is_split_by_the_weights() -> None:
    assert Shares({"a": 3, "b": 1}).split(400, {"a": 0, "b": 0}) == {"a": 300, "b": 100}


def test_a_claim_makes_up_for_what_waits_already() -> None:
    shares = Shares({"a": 3, "b": 1})
    assert shares.split(20, {"a": 60, "b": 0}) == {"b": 20}
    assert shares.split(20, {"a": 0, "b": 5}) == {"a": 19, "b": 1}


def test_a_claim_goes_by_what_was_taken_before() -> None:
    shares = Shares({"a": 1, "b": 1})
    claimed = []
    for _ in range(6):
        ((lane, _),) = shares.split(1, {"a": 0, "b": 0}).items()
        shares.took(lane)
        claimed.append(lane)
    assert claimed == ["a", "b"] * 3


def test_a_claim_of_nothing_names_no_lane() -> None:
    assert Shares({"a": 1}).split(0, {"a": 0}) == {}


def test_to_split_a_claim_takes_nothing() -> None:
    shares = Shares({"a": 1, "b": 1})
    assert shares.split(3, {"a": 0, "b": 0}) == shares.split(3, {"a": 0, "b": 0})
