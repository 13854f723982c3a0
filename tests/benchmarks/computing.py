"""Tasks that keep a processor busy, and what the machine makes of them without a queue."""

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context


def compute(seconds: float, times: int = 1) -> None:
    """Use so much of the processor's time, so many times."""
    for _ in range(times):
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass


def bare_rate(processes: int, seconds: float, times: int) -> float:
    """Return how often a second so many processes compute, which each do so many times."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        list(pool.map(compute, [seconds] * 2 * processes))  # until all are up
        began = time.perf_counter()
        list(pool.map(compute, [seconds] * processes, [times] * processes))
        return processes * times / (time.perf_counter() - began)
