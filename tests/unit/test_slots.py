"""Slots, and who waits for one."""

import threading

from leek.server.slots import Slots
from tests.support import wait_until


def test_each_slot_is_taken_once() -> None:
    slots = Slots(3)
    assert sorted(slots.take() or 0 for _ in range(3)) == [0, 1, 2]


def test_who_finds_none_waits_until_one_is_given_back() -> None:
    slots = Slots(1)
    assert slots.take() == 0
    got: list[int | None] = []
    thread = threading.Thread(target=lambda: got.append(slots.take()))
    thread.start()
    wait_until(lambda: slots.waiting == 1, "the wait")
    assert got == []
    slots.give_back(0)
    thread.join()
    assert (got, slots.waiting) == ([0], 0)


def test_an_end_sends_all_away_who_wait_and_who_come() -> None:
    slots = Slots(1)
    slots.take()
    got: list[int | None] = []
    threads = [threading.Thread(target=lambda: got.append(slots.take())) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: slots.waiting == 2, "both to wait")
    slots.end()
    for thread in threads:
        thread.join()
    slots.give_back(0)
    assert [*got, slots.take()] == [None] * 3


def test_slots_are_unused_as_long_as_none_is_taken() -> None:
    slots = Slots(2)
    assert slots.are_unused
    slots.give_back(slots.take() or 0)
    assert slots.are_unused
    slots.take()
    assert not slots.are_unused
