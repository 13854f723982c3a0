"""How many tasks may wait in Celery's broker, and for how long."""

from datetime import UTC, datetime

import pytest

from leek.celery.relayed import Relayed
from leek.celery.window import LEAST, LONGEST, LOOK_BACK, MOST, Patience, Window
from leek.celery.windows import Windows
from leek.outcome import Claimed


def test_at_first_there_is_room_for_the_least() -> None:
    assert Window().size(0.0) == LEAST


def test_the_window_is_what_was_begun_in_the_last_seconds() -> None:
    window = Window()
    for second in range(10):
        window.began(400, float(second))
    assert window.size(9.0) == 400 * (LOOK_BACK + 1)


def test_the_window_shrinks_when_less_is_begun_be_it_that_nobody_looks() -> None:
    window = Window()
    window.began(1000, 0.0)
    assert window.size(LOOK_BACK) == 1000
    assert window.size(LOOK_BACK + 0.1) == LEAST


def test_the_window_has_a_limit() -> None:
    window = Window()
    window.began(1_000_000, 0.0)
    assert window.size(0.0) == MOST


def test_a_narrow_window_is_for_one_task_until_one_is_begun() -> None:
    window = Window()
    window.began(1000, 0.0)
    window.narrow()
    assert window.size(0.0) == 1
    window.began(1, 1.0)
    assert window.size(1.0) == LEAST


def test_the_time_doubles_while_nothing_is_begun() -> None:
    patience, seconds = Patience(60), []
    for _ in range(8):
        patience.ended()
        seconds.append(patience.seconds)
    assert seconds == [120, 240, 480, 960, 1920, LONGEST, LONGEST, LONGEST]


def test_the_time_stays_as_it_is_while_anything_is_begun() -> None:
    patience = Patience(60)
    patience.began()
    patience.ended()
    assert patience.seconds == 60
    patience.ended()
    assert patience.seconds == 120


def test_the_time_is_the_first_again_when_something_is_begun() -> None:
    patience = Patience(60)
    patience.ended()
    patience.began()
    assert patience.seconds == 60


@pytest.mark.parametrize("seconds", [LONGEST, 2 * LONGEST])
def test_a_time_that_is_longer_than_the_longest_stays(seconds: float) -> None:
    patience = Patience(seconds)
    patience.ended()
    assert patience.seconds == seconds


def test_the_least_may_be_out_after_what_was_claimed_is_given_back() -> None:
    window = Window()
    window.began(1000, 0.0)
    window.forget()
    assert window.size(0.0) == LEAST


# Several queues


def claimed(number: int, first: int = 1, claim: int = 1, *, suspect: bool = False) -> list[Claimed]:
    """Return tasks as one claim gives them."""
    now = datetime.now(UTC)
    return [
        Claimed(each, "task", "", 0, 0, 0, None, suspect, 0.0, now, 1, claim)
        for each in range(first, first + number)
    ]


def test_a_queue_that_is_full_leaves_others_their_room() -> None:
    windows = Windows(60)
    windows.took("reports", claimed(LEAST))
    assert (windows.room_of("reports"), windows.room_of("default")) == (0, LEAST)
    assert windows.has_free_place(LEAST)
    windows.took("default", claimed(LEAST, first=1000))
    assert not windows.has_free_place(2 * LEAST)


def test_a_queue_of_which_none_is_begun_is_tried_with_one_task_and_named_once() -> None:
    windows, out = Windows(60), claimed(LEAST)
    windows.took("reports", out)
    assert windows.overdue(out[0])
    assert windows.patience(out[0]) == 120
    for each in out:
        windows.left(each)
    assert (windows.room_of("reports"), windows.room_of("default")) == (1, LEAST)
    again = claimed(1, claim=2)
    windows.took("reports", again)
    assert not windows.overdue(again[0])
    assert windows.patience(again[0]) == 240


def test_a_queue_of_which_one_is_begun_has_its_room_again() -> None:
    windows, out = Windows(60), claimed(1)
    windows.took("reports", out)
    windows.overdue(out[0])
    windows.began(out, 0.0)
    assert windows.patience(out[0]) == 60
    windows.left(out[0])
    assert windows.room_of("reports") == LEAST


def test_more_is_claimed_of_a_queue_that_had_more_when_half_of_its_room_is_free() -> None:
    windows, out = Windows(60), claimed(LEAST)
    windows.took("reports", out, has_more=True)
    told = [windows.left(each) for each in out]
    assert told.index(True) == LEAST // 2 - 1
    assert told.count(True) == 1


def test_of_a_queue_that_had_no_more_none_is_claimed_when_one_ends() -> None:
    windows, out = Windows(60), claimed(LEAST - 1)
    windows.took("reports", out)
    assert not any(windows.left(each) for each in out)


def test_a_queue_that_is_refused_has_no_room_for_a_while_and_others_have() -> None:
    windows, out = Windows(60), claimed(2)
    windows.took("reports", out)
    assert windows.refused(out[0])
    assert not windows.refused(out[1])
    assert windows.is_closed(out[1])
    assert (windows.room_of("reports"), windows.room_of("default")) == (0, LEAST)
    assert windows.closed_to_suspects() == {"reports"}
    assert windows.has_place_for_suspect(2)
    assert windows.accepted(out[0])
    assert not windows.accepted(out[0])


def test_one_suspect_of_each_queue_is_out_at_a_time() -> None:
    windows, (suspect,) = Windows(60), claimed(1, suspect=True)
    windows.took("reports", [suspect])
    windows.took("default", claimed(LEAST, first=1000))
    assert windows.closed_to_suspects() == {"reports"}
    assert windows.left(suspect)
    assert not windows.closed_to_suspects()


def test_a_broker_that_takes_nothing_is_tried_with_one_task() -> None:
    windows = Windows(60)
    windows.stops()
    assert [windows.room(unfinished, 1.0) for unfinished in (0, 1)] == [1, 0]
    assert not windows.has_free_place(0)
    assert not windows.has_place_for_suspect(0)
    windows.moves()
    assert windows.has_free_place(0)


# What is relayed


def test_a_task_that_comes_back_at_once_is_there_under_both_claims() -> None:
    relayed, (first,), (second,) = Relayed(), claimed(1), claimed(1, claim=2)
    assert relayed.add(first, "default")
    assert not relayed.add(second, "default")
    message = relayed.take_out(1)
    assert message
    assert message.claimed is second
    assert relayed.remove(first)
    assert not relayed.remove(first)
    assert not relayed.take_out(1)
    relayed.put_back(message)
    assert relayed.remove(second)
    assert len(relayed) == 0
