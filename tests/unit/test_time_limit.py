"""Tasks that run too long, in a thread: where they are interrupted, and where they are not."""

import asyncio
import itertools
import socket
import threading
import time
from collections import deque
from functools import partial
from operator import call
from queue import SimpleQueue

import pytest

from leek.exceptions import TaskTimeout
from leek.task import Task
from leek.time_limit import time_limit


def count_until(deadline: float) -> None:
    """Count until then, by the monotonic clock.

    In Python 3.13 an `except` around the loop itself would miss what comes at its end:
    https://github.com/python/cpython/issues/130279
    """
    while time.monotonic() < deadline:
        pass


def count_for_ever() -> None:
    for _ in itertools.count():
        pass


def receive(connection: socket.socket, begun: SimpleQueue[None]) -> None:
    """Say that it has begun, and wait; all that in C, where Python cannot interrupt."""
    steps = [partial(begun.put, None), partial(connection.recv, 1)]
    deque(map(call, steps), maxlen=0)  # type: ignore[arg-type]
    count_for_ever()


def count_stubbornly(begun: threading.Event) -> str:
    """Go on after the first interruption."""
    try:
        begun.set()
        count_for_ever()
    except TaskTimeout:
        return "went on"
    raise AssertionError("unreachable")


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


async def time_out_by_itself() -> None:
    raise TimeoutError("its own")


@pytest.mark.parametrize("a_callable", [count_for_ever, wait_for_ever])
def test_a_task_that_runs_too_long_is_interrupted(a_callable: object) -> None:
    with pytest.raises(TaskTimeout, match=r"it ran longer than 0\.01 s"):
        Task(a_callable, (), {}).run(0.01)  # type: ignore[arg-type]


def test_a_task_may_catch_the_interruption(begun: threading.Event) -> None:
    assert Task(count_stubbornly, (begun,), {}).run(0.01) == "went on"


def test_a_time_out_of_the_tasks_own_is_no_excess() -> None:
    with pytest.raises(TimeoutError, match="its own"):
        Task(time_out_by_itself, (), {}).run(60)


def test_what_waits_in_c_is_interrupted_when_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    begun: SimpleQueue[None] = SimpleQueue()
    sent = threading.Event()

    class Timer(threading.Timer):
        def run(self) -> None:
            begun.get()
            super().run()
            time.sleep(0.05)
            sent.set()
            theirs.send(b"x")

    monkeypatch.setattr(threading, "Timer", Timer)
    with ours, theirs:
        with pytest.raises(TaskTimeout):
            Task(receive, (ours, begun), {}).run(0.01)
        assert sent.is_set()


@pytest.mark.parametrize("seconds", [None, 60])
def test_a_task_that_ends_in_time_is_let_be(seconds: float | None) -> None:
    assert Task(len, ([1, 2],), {}).run(seconds) == 2
    with pytest.raises(ValueError, match="invalid literal"):
        Task(int, ("x",), {}).run(seconds)


def test_a_limit_that_is_over_interrupts_nothing_that_comes_later() -> None:
    for _ in range(300):
        deadline = time.monotonic() + 0.001
        try:
            with time_limit(0.001):
                count_until(deadline)
        except TaskTimeout:
            pass
        sum(range(1000))  # here the interruption would come out
