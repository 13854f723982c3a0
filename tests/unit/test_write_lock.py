"""The writers of one process queue."""

import threading

from leek.database.write_lock import FairLock
from tests.support import wait_until


def test_who_waits_comes_before_who_has_just_held_the_lock() -> None:
    lock, order = FairLock(), []

    def wait_and_write() -> None:
        with lock:
            order.append("who waited")

    with lock:
        other = threading.Thread(target=wait_and_write)
        other.start()
        wait_until(lock._next.locked, "the other writer's wait")
    with lock:
        order.append("who had held it")
    other.join()
    assert order == ["who waited", "who had held it"]
