"""Pushes recurring tasks when they are due."""

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from leek import agenda, lifecycle
from leek.agenda import Handled
from leek.announcing import announce_pushes
from leek.contracts import announce_enqueued, own_task_at
from leek.database import as_stored
from leek.exceptions import LeekError
from leek.policy import policy_from
from leek.pushing import new_rows
from leek.schedule import Schedule
from leek.server.journal import journal
from leek.server.service import Outage, Service
from leek.task import find
from leek.tracing import pushing

LONGEST_REST = 60.0  # seconds: the database's clock may be set, and this machine be suspended
NEXT_TRY = 10.0  # seconds until a task is tried again that could not be pushed


class Scheduler(Service):
    """Takes the due times of recurring tasks, and pushes a task for each; never runs one.

    Every server has one, and the same due times, by the database's clock. Who is first to claim a
    due time pushes, in the same transaction; for the others there is nothing left to do.

    A task that does not import here, or does not take its arguments, is not pushed, and its due
    time stays unclaimed. In a rolling deploy a server of the other release may know it and push at
    once; else this one goes on trying, so that it is caught up with after the mistake is mended.
    """

    name = "scheduler"

    def __init__(
        self,
        outage: Outage,
        schedules: Iterable[Schedule],
        serializer_mode: str,
        write_lock: AbstractContextManager[object],
        on_push: Callable[[], None],
    ) -> None:
        super().__init__(outage)
        self._schedules = {schedule.name: schedule for schedule in schedules}
        self._serializer_mode = serializer_mode
        self._write_lock = write_lock
        self._on_push = on_push
        self._refused: dict[str, datetime] = {}  # the due times that the log has told of
        self.has_looked = not self._schedules

    def start(self) -> None:
        """Start the thread, if there are recurring tasks."""
        if self._schedules:
            super().start()

    def run_once(self) -> None:
        """Push for what is due, and rest until more is."""
        asked_at = time.monotonic()
        seconds = [self._serve(handled) for handled in self._handled()]
        self.has_looked = True
        self.rest(min([LONGEST_REST, *seconds]) - (time.monotonic() - asked_at))

    def _handled(self) -> list[Handled]:
        """Return how far each task was pushed; those that are new begin now."""
        found = agenda.handled(self._schedules)
        if new := self._schedules.keys() - {handled.name for handled in found}:
            with self._write_lock:
                lifecycle.begin_schedules(sorted(new))
            found = agenda.handled(self._schedules)
        return found

    def _serve(self, handled: Handled) -> float:
        """Push a task for what it is due for; return in how many seconds to look at it again."""
        schedule, now = self._schedules[handled.name], handled.now
        due_times = schedule.to_push(handled.due_at, now)
        is_refused = bool(due_times) and not self._push(schedule, due_times, now)
        next_due = schedule.next_due(now)
        rest = (next_due - now).total_seconds() if next_due else LONGEST_REST
        return min(rest, NEXT_TRY) if is_refused else rest

    def _push(self, schedule: Schedule, due_times: list[datetime], now: datetime) -> bool:
        """Push a task for these due times, unless others do; return False where it is refused."""
        with pushing() as span:
            try:
                row = self._new_row(schedule, now)
            except LeekError as error:
                if self._refused.get(schedule.name) != due_times[-1]:
                    self._refused[schedule.name] = due_times[-1]
                    journal.error("The recurring task %s is not pushed: %s", schedule.name, error)
                return False
            with self._write_lock:
                pushed = lifecycle.push_due(schedule.name, due_times, row)
            span.tell(pushed)
        if pushed:
            self._on_push()
            announce_pushes(pushed)
            announce_enqueued(pushed)
            journal.info("Pushed the recurring task %s as task %s", schedule.name, pushed[-1])
        return True

    def _new_row(self, schedule: Schedule, now: datetime) -> dict[str, Any]:
        if task := own_task_at(schedule.task):
            from leek.enqueuing import recurring_row  # it imports Django's tasks framework

            return recurring_row(task, schedule, as_stored(now))
        (row,) = new_rows(
            [(find(schedule.task), schedule.args, schedule.kwargs)],
            as_stored(now),
            self._serializer_mode,
            said=policy_from({"queue": schedule.queue, "priority": schedule.priority}),
        )
        return row
