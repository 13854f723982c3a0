"""The site of a run: it logs each run of a task with the claim that it runs under."""

import ctypes
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig

from tests.faults.chaos import log

if TYPE_CHECKING:
    from leek.outcome import Claimed, Outcome

COMMAND = "CHAOS_COMMAND"  # the environment variable with the command's process id
BREAK = "CHAOS_BREAK"  # the one with what is to be broken
_PR_SET_PDEATHSIG = 1  # see prctl(2)


class ChaosConfig(AppConfig):
    """The site of a run."""

    name = "tests.faults.chaos"
    label = "chaos"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Log what Executors do, and break what is to be broken."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if os.environ[COMMAND] == str(os.getppid()):  # whatever happens, nothing outlives it
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        log.write("up")
        _mend_sleep()
        _log_runs()
        if broken := os.environ.get(BREAK):
            _BREAKS[broken]()


def _mend_sleep() -> None:
    """Have Python sleep by another call: libfaketime refuses to sleep until a true time."""

    def sleep(seconds: Any) -> None:
        threading.Event().wait(seconds)

    time.sleep = sleep


def _log_runs() -> None:
    from leek import lifecycle
    from leek.outcome import Outcome, Success
    from leek.server.executor import Attempt, Executor
    from tests.faults.chaos import tasks

    run, settle_within = Executor.attempt, lifecycle.settle_within

    def logged_run(self: Executor, attempt: Attempt) -> Outcome:
        claimed = attempt.claimed
        log.write("begun", **_claim(claimed), tries=claimed.tries, crashes=claimed.crashes)
        token = tasks.current.set(claimed)
        outcome = run(self, attempt)
        tasks.current.reset(token)
        log.write("ended", **_claim(claimed), **_end(outcome))
        return outcome

    def logged_settle(outcome: Success) -> None:
        log.write("commits", **_claim(outcome.claimed), **_end(outcome))
        settle_within(outcome)

    Executor.attempt = logged_run  # type: ignore[method-assign]
    lifecycle.settle_within = logged_settle


def _claim(claimed: "Claimed") -> dict[str, Any]:
    return {"task": claimed.id, "owner": claimed.owner, "claim": claimed.claim}


def _end(outcome: "Outcome") -> dict[str, Any]:
    times = [outcome.started_at.isoformat(), outcome.finished_at.isoformat()]
    return {"outcome": type(outcome).__name__, "times": times}


def _break_fence() -> None:
    """Let each outcome settle its task, whoever has claimed it since."""
    from leek.lifecycle import sets
    from leek.models import QueuedTasksQuerySet

    def unfenced(server_id: int | None, number: int) -> QueuedTasksQuerySet:
        return sets.tasks().running()

    sets.claimed = unfenced


def _break_atomic() -> None:
    """Let atomic tasks write for good what they write, before their success is stored."""
    from leek.outcome import Claimed, Outcome
    from leek.server import executor

    def run_apart(
        claimed: Claimed,
        run: Callable[[], Outcome],
        raised: Callable[[BaseException], Outcome],
    ) -> Outcome:
        return run()

    executor.run_atomically = run_apart  # type: ignore[attr-defined]


_BREAKS = {"fence": _break_fence, "atomic": _break_atomic}
