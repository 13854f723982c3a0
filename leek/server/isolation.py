"""Runs the tasks of a Worker in a process of its own, where they can do no harm to others."""

import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from django.utils import timezone

from leek.conditions import Conditions
from leek.exceptions import LeekError
from leek.outcome import Claimed, Failure, Outcome, Progress, Retry
from leek.server.admission import Admission
from leek.server.child_loop import READY, Announcement, Report
from leek.server.child_process import ChildProcess
from leek.server.executor import Executor
from leek.server.journal import journal


class ChildUnavailable(LeekError):
    """There is no process that could run the task, or it was killed at a stop: no crash."""


@dataclass(frozen=True)
class ChildLimits:
    """When a process is replaced: after so many tasks, or above so many bytes of memory.

    Both are looked at between tasks; None: never.
    """

    max_tasks: int | None = None
    max_memory: int | None = None


class Isolation:
    """Runs the tasks of one Worker in a child process, and replaces that when it has died.

    It belongs to the Worker's thread; `interrupt`, `abandon` and `stop_waiting` may be called from
    others.
    """

    def __init__(self, executor: Executor, admission: Admission, limits: ChildLimits) -> None:
        self._executor = executor
        self._admission = admission
        self._limits = limits
        self._child: ChildProcess | None = None
        self._lock = threading.Lock()
        self._is_starting = False
        self._starts_no_more = False
        self._is_abandoned = False

    @property
    def starts_no_more(self) -> bool:
        """Whether there will be no other process, as the server is being stopped."""
        return self._starts_no_more

    def prepare(self) -> None:
        """Have a process that waits for a task; raise ChildUnavailable where there is none."""
        if self._child and self._child.is_alive and not self._is_used_up(self._child):
            return
        self.close()
        child = self._spawn()
        try:
            child.send(sys.argv)
            child.send(replace(self._executor, limits_time=False, on_progress=None))
            if child.receive() != READY:
                raise EOFError
        except (EOFError, OSError):
            raise ChildUnavailable(
                f"the process for a Worker's tasks {self.close()} before it was ready"
            ) from None
        finally:
            self._is_starting = False

    def run(self, claimed: Claimed) -> Outcome:
        """Have a task run by the prepared process, and tell how it ended.

        Raise ChildUnavailable if it has not begun, or did not end because of a stop.
        """
        child = self._child
        if child is None:
            raise ChildUnavailable("there is no process for a Worker's tasks")
        started_at = timezone.now()
        try:
            child.send(claimed)
        except OSError as error:
            self.close()
            raise ChildUnavailable("the process for a Worker's tasks has died") from error
        limit, conditions = self._executor.terms.timeout, Conditions()
        answer = self._answer(child, claimed, limit, self._executor.timed_out(claimed, started_at))
        while isinstance(answer, Announcement):
            conditions = answer.conditions
            if refused := self._refuse(child, claimed, conditions):
                return refused
            answer = self._answer(child, claimed, answer.timeout, answer.when_killed)
        return self._admission.reconsider(answer, conditions)

    def close(self) -> str:
        """Let the process end, if there is one; kill it if it does not. Say how it ended."""
        child, self._child = self._child, None
        return child.end() if child else "is not there"

    def interrupt(self) -> None:
        """Have the process end, whatever it runs, without waiting for that."""
        if child := self._child:
            child.interrupt()

    def abandon(self) -> None:
        """Kill the process, whatever it runs; there will be no other."""
        with self._lock:
            self._starts_no_more = self._is_abandoned = True
            child = self._child
        if child:
            child.kill()

    def stop_waiting(self) -> None:
        """Abandon a process that is not ready yet; there will be no other."""
        with self._lock:  # so that one which is just being spawned is seen
            self._starts_no_more = True
            is_starting = self._is_starting
        if is_starting:
            self.abandon()

    def _spawn(self) -> ChildProcess:
        with self._lock:
            if self._starts_no_more:
                raise ChildUnavailable("the server is being stopped")
            self._child = ChildProcess(self._executor.log_lines)
            self._is_starting = True
            return self._child

    def _answer(
        self,
        child: ChildProcess,
        claimed: Claimed,
        limit: float | None,
        when_killed: Retry | Failure,
    ) -> Outcome | Announcement:
        """Return how a task has ended, or what the server has to see to before it begins."""
        try:
            answer = self._next_word(child, limit)
        except TimeoutError:
            child.kill()
            self.close()
            logged = child.log.logged_by(claimed)
            return replace(when_killed, finished_at=timezone.now(), logged=logged)
        except Exception:  # noqa: BLE001 (whatever a task may send through the pipe)
            return self._crashed(child, claimed, when_killed.started_at)
        if isinstance(answer, Announcement):
            return answer
        child.tasks += 1
        child.memory = answer.memory
        return answer.outcome

    def _next_word(self, child: ChildProcess, limit: float | None) -> Announcement | Report:
        """Return what the process says within its time, but for progress, which is handed on."""
        began, left = time.monotonic(), limit
        while isinstance(answer := child.receive(left), Progress):
            if self._executor.on_progress:
                self._executor.on_progress(answer)
            if limit is not None and (left := began + limit - time.monotonic()) <= 0:
                raise TimeoutError
        if not isinstance(answer, Announcement | Report):
            raise TypeError(answer)
        return answer

    def _refuse(
        self, child: ChildProcess, claimed: Claimed, conditions: Conditions
    ) -> Outcome | None:
        """Tell the process whether to begin; return the outcome of a task that may not."""
        may_begin = False
        try:
            refused = self._admission.refuse(claimed, conditions)
            may_begin = refused is None
        finally:
            with suppress(OSError):  # its end is seen when it is to answer
                child.send(may_begin)
        return refused

    def _crashed(self, child: ChildProcess, claimed: Claimed, started_at: datetime) -> Outcome:
        how = self.close()
        child.kill()  # what the task has started would run beside its next attempt
        if self._is_abandoned:
            raise ChildUnavailable("the server is being stopped")
        crash = self._executor.crashed(claimed, started_at, how)
        return replace(crash, logged=child.log.logged_by(claimed))

    def _is_used_up(self, child: ChildProcess) -> bool:
        """Tell whether the process has run enough tasks, or holds too much memory."""
        limits = self._limits
        if limits.max_memory is not None and child.memory > limits.max_memory:
            journal.info("A process for tasks holds %.0f MB: it is replaced", child.memory / 1e6)
            return True
        return limits.max_tasks is not None and child.tasks >= limits.max_tasks
