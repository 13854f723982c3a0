"""Tasks are plain functions: nothing here knows of leek."""

import time


def count_slowly(seconds: int) -> str:
    """Take as many seconds as asked."""
    for _ in range(seconds):
        time.sleep(1)
    return f"counted to {seconds}"


def fail() -> None:
    """Raise at every try."""
    raise RuntimeError("this task fails whenever it is tried")
