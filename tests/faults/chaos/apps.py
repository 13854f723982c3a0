"""The site of a run: it logs each run of a task with the claim that it runs under."""

import ctypes
import os
import resource
import signal
import threading
import time
from typing import Any

from django.apps import AppConfig

from tests.faults.chaos import log, tasks

COMMAND = "CHAOS_COMMAND"  # the environment variable with the command's process id
BREAK = "CHAOS_BREAK"  # the one with what is to be broken
_PR_SET_PDEATHSIG = 1  # see prctl(2)


class ChaosConfig(AppConfig):
    """The site of a run."""

    name = "tests.faults.chaos"
    label = "chaos"

    def ready(self) -> None:
        """Log what Executors do, and break what is to be broken."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if os.environ[COMMAND] == str(os.getppid()):  # whatever happens, nothing outlives it
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        log.write("up")
        _mend_sleep()
        _log_runs()
        if os.environ.get(BREAK) == "fence":
            _break_fence()


def _mend_sleep() -> None:
    """Have Python sleep by another call: libfaketime refuses to sleep until a true time."""

    def sleep(seconds: Any) -> None:
        threading.Event().wait(seconds)

    time.sleep = sleep


def _log_runs() -> None:
    from leek.outcome import Outcome
    from leek.server.executor import Attempt, Executor

    run = Executor.attempt

    def logged_run(self: Executor, attempt: Attempt) -> Outcome:
        claimed = attempt.claimed
        claim = {"task": claimed.id, "owner": claimed.owner, "claim": claimed.claim}
        log.write("begun", **claim, tries=claimed.tries, crashes=claimed.crashes)
        token = tasks.current.set(claimed)
        outcome = run(self, attempt)
        tasks.current.reset(token)
        times = [outcome.started_at.isoformat(), outcome.finished_at.isoformat()]
        log.write("ended", **claim, outcome=type(outcome).__name__, times=times)
        return outcome

    Executor.attempt = logged_run  # type: ignore[method-assign]


def _break_fence() -> None:
    """Let each outcome settle its task, whoever has claimed it since."""
    from leek.lifecycle import sets
    from leek.models import QueuedTasksQuerySet

    def unfenced(server_id: int | None, number: int) -> QueuedTasksQuerySet:
        return sets.tasks().running()

    sets.claimed = unfenced
