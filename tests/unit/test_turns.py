"""Writers of one process take turns."""

import threading

from leek.database.turns import _Turns
from tests.support import wait_until


def test_who_waits_comes_before_who_has_just_had_a_turn() -> None:
    turns, order = _Turns(), []

    def wait_and_write() -> None:
        with turns:
            order.append("who waited")

    with turns:
        other = threading.Thread(target=wait_and_write)
        other.start()
        wait_until(turns._next.locked, "the other writer's wait")
    with turns:
        order.append("who had a turn")
    other.join()
    assert order == ["who waited", "who had a turn"]
