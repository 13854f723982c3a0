"""The claimed tasks that wait for a worker."""

import random
from datetime import UTC, datetime

import pytest

from leek.outcome import Claimed
from leek.server.backlog import Backlog

NOW = datetime(2026, 12, 24, tzinfo=UTC)


def task(number: int, priority: int = 0, claim: int = 1) -> Claimed:
    return Claimed(number, "shop.tasks.send", "", priority, 0, 0, NOW, False, 0.0, NOW, 1, claim)


def backlog_of(*tasks: Claimed) -> Backlog:
    backlog = Backlog()
    backlog.put(list(tasks))
    return backlog


def fair_backlog(**lanes: list[Claimed]) -> Backlog:
    """Return a backlog whose lanes have these tasks, and the weights 3, 1, ..., 1."""
    backlog = Backlog({lane: 1 if number else 3 for number, lane in enumerate(lanes)})
    for lane, tasks in lanes.items():
        backlog.put(tasks, lane)
    return backlog


def taken(backlog: Backlog, number: int) -> list[int | None]:
    """Return the ids of the next tasks, None for an end."""
    tasks = [backlog.take() for _ in range(number)]
    return [claimed and claimed.id for claimed in tasks]


def test_the_highest_priority_is_taken_first() -> None:
    backlog = backlog_of(task(1, -100), task(2, 0), task(3, 100), task(4, 5))
    assert taken(backlog, 4) == [3, 4, 2, 1]


def test_of_one_priority_the_first_pushed_is_taken_first() -> None:
    backlog = backlog_of(task(3), task(1), task(2))
    assert taken(backlog, 3) == [1, 2, 3]


def test_a_later_claim_of_higher_priority_goes_ahead() -> None:
    backlog = backlog_of(task(1), task(2))
    backlog.put([task(3, 1)])
    assert taken(backlog, 3) == [3, 1, 2]


@pytest.mark.parametrize("seed", range(20))
def test_any_mixture_is_taken_by_priority_then_push(seed: int) -> None:
    chance = random.Random(seed)
    tasks = [task(number, chance.randint(-100, 100)) for number in range(50)]
    chance.shuffle(tasks)
    expected = [one.id for one in sorted(tasks, key=lambda one: (-one.priority, one.id))]
    assert taken(backlog_of(*tasks), len(tasks)) == expected


def test_a_task_may_be_there_under_two_claims() -> None:
    backlog = backlog_of(task(1, claim=2), task(1, claim=1))
    assert taken(backlog, 2) == [1, 1]


def test_nothing_is_handed_out_after_the_end() -> None:
    backlog = backlog_of(task(1, 100), task(2))
    backlog.end()
    assert taken(backlog, 3) == [None, None, None]
    assert [claimed.id for claimed in backlog.drain()] == [1, 2]


def test_workers_that_come_after_a_drain_are_told_to_end() -> None:
    backlog = backlog_of(task(1))
    backlog.end()
    backlog.drain()
    assert taken(backlog, 2) == [None, None]


def test_a_drained_backlog_is_empty() -> None:
    backlog = backlog_of(task(1), task(2))
    backlog.drain()
    assert (backlog.waiting, backlog.unfinished) == (0, 0)


def test_draining_gives_what_was_not_taken() -> None:
    backlog = backlog_of(task(1), task(2), task(3))
    backlog.take()
    assert [claimed.id for claimed in backlog.drain()] == [2, 3]


def test_a_task_being_run_is_not_drained() -> None:
    backlog = backlog_of(task(1))
    backlog.take()
    assert backlog.drain() == []
    assert backlog.unfinished == 1


def test_draining_an_empty_backlog_gives_nothing() -> None:
    assert backlog_of().drain() == []


def test_waiting_counts_what_was_not_taken() -> None:
    backlog = backlog_of(task(1), task(2))
    backlog.take()
    assert backlog.waiting == 1


def test_unfinished_counts_what_was_not_done() -> None:
    backlog = backlog_of(task(1), task(2))
    backlog.take()
    assert backlog.unfinished == 2
    backlog.done()
    assert backlog.unfinished == 1


def test_taking_a_task_is_a_move() -> None:
    backlog = backlog_of(task(1), task(2))
    backlog.last_moved = 0.0
    backlog.take()
    assert backlog.last_moved > 0


def test_the_first_task_that_comes_is_a_move_and_a_further_one_is_not() -> None:
    backlog = backlog_of()
    backlog.last_moved = 0.0  # nothing came for long: that is no reason to call the task stalled
    backlog.put([task(1)])
    assert backlog.last_moved > 0
    backlog.last_moved = 0.0
    backlog.put([task(2)])
    assert backlog.last_moved == 0


def test_what_runs_aside_keeps_no_worker_busy_and_is_not_done() -> None:
    backlog = backlog_of(task(1))
    backlog.take()
    backlog.set_aside()
    backlog.done()
    assert (backlog.unfinished, backlog.is_done) == (0, False)
    backlog.done_aside()
    assert backlog.is_done


def test_what_waits_is_not_done() -> None:
    backlog = backlog_of(task(1))
    assert not backlog.is_done
    backlog.take()
    assert not backlog.is_done
    backlog.done()
    assert backlog.is_done


def test_lanes_share_what_is_taken_whatever_the_priorities() -> None:
    heavy, light = [task(number, 9) for number in range(30)], [task(99, -9), task(98, -9)]
    order = taken(fair_backlog(heavy=heavy, light=light), 8)
    assert order.count(98) == order.count(99) == 1
    assert order.index(98) < order.index(99)  # within a lane by priority and push


def test_in_a_lane_a_later_claim_of_higher_priority_goes_ahead() -> None:
    backlog = fair_backlog(one=[task(1), task(2)], other=[])
    backlog.put([task(3, 1)], "one")
    assert taken(backlog, 3) == [3, 1, 2]


def test_what_has_no_lane_is_taken_before_what_has_one() -> None:
    backlog = fair_backlog(one=[task(1, 100)])
    backlog.put([task(2)])
    assert taken(backlog, 2) == [2, 1]


def test_room_is_split_by_what_the_lanes_have_and_the_drained_does_not_count() -> None:
    backlog = fair_backlog(heavy=[task(number) for number in range(12)], light=[])
    assert backlog.split(4, ["heavy", "light"]) == {"light": 4}
    assert len(backlog.drain()) == 12
    assert backlog.split(4, ["heavy", "light"]) == {"heavy": 3, "light": 1}
    assert (backlog.waiting, backlog.unfinished) == (0, 0)


def test_nothing_is_handed_out_of_lanes_after_the_end() -> None:
    backlog = fair_backlog(one=[task(1, 100)], other=[task(2)])
    backlog.end()
    assert taken(backlog, 3) == [None, None, None]
    assert [claimed.id for claimed in backlog.drain()] == [1, 2]
    assert taken(backlog, 1) == [None]


def test_one_task_is_taken_out_wherever_it_is() -> None:
    backlog = fair_backlog(one=[task(1), task(2), task(3)], other=[task(4)])
    backlog.put([task(5), task(6)])
    found = [backlog.take_out(number) for number in (2, 5, 7)]
    assert [claimed and claimed.id for claimed in found] == [2, 5, None]
    assert backlog.waiting == 4
    assert taken(backlog, 2) == [6, 1]
