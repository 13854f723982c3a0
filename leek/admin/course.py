"""The course of one task, gathered for its page: its attempts, what they logged, its times."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.utils.translation import gettext as _

from leek.database import as_stored
from leek.models import (
    AttemptLogs,
    FailedAttempts,
    FailedTasks,
    QueuedTasks,
    Servers,
    State,
    SuccessTasks,
)


@dataclass(frozen=True)
class LogLine:
    """What a task logged once."""

    at: datetime | None
    level: str
    logger: str
    message: str


@dataclass(frozen=True)
class Attempt:
    """One run of a task, as far as it is known; `outcome` is one word for how it ended."""

    number: int
    outcome: str = ""
    server: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exception_type: str = ""
    exception_message: str = ""
    traceback: str = ""
    lines: Sequence[LogLine] = ()
    omitted: int = 0

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class Moment:
    """A time in the life of a task, and what happened then; `is_to_come` while it has not."""

    name: str
    at: datetime
    is_to_come: bool = False


@dataclass(frozen=True)
class Course:
    """How a task came to where it is; `end` is the outcome of one that has ended."""

    end: SuccessTasks | FailedTasks | None
    attempts: Sequence[Attempt]
    moments: Sequence[Moment]


def course_of(row: QueuedTasks, now: datetime) -> Course:
    """Gather the course of a task, by four statements at most."""
    end = _end_of(row)
    failed = list(FailedAttempts.objects.filter(task=row).order_by("attempt", "pk"))
    last = _last_attempt(row, end)
    ids = {each.server_id for each in failed} | {row.owner_id, getattr(end, "server_id", None)}
    servers = Servers.objects.in_bulk([each for each in ids if each is not None])
    attempts = [_failed(each, _server(each.server_id, servers)) for each in failed]
    if last:
        server_id = row.owner_id if end is None else getattr(end, "server_id", None)
        attempts.append(replace(last, server=_server(server_id, servers)))
    attempts = list(_with_logs(attempts, AttemptLogs.objects.filter(task=row).order_by("pk")))
    return Course(end, attempts, [*_moments(row, end, attempts, now)])


def _end_of(row: QueuedTasks) -> SuccessTasks | FailedTasks | None:
    try:
        if row.state == State.SUCCESSFUL:
            return row.success
        return row.failure if row.state == State.FAILED else None
    except ObjectDoesNotExist:  # it was pushed back, or purged, since the row was loaded
        return None


def _last_attempt(row: QueuedTasks, end: SuccessTasks | FailedTasks | None) -> Attempt | None:
    """Return the attempt that is no failed one: it runs, or has succeeded."""
    ended = row.tries + row.crashes
    if row.state == State.RUNNING:
        return Attempt(ended + 1, _("running"), started_at=row.claimed_at)
    if isinstance(end, SuccessTasks):
        word = _("successful")
        return Attempt(ended, word, started_at=end.started_at, finished_at=end.finished_at)
    return None


def _failed(attempt: FailedAttempts, server: str) -> Attempt:
    return Attempt(
        attempt.attempt,
        _("failed"),
        server,
        attempt.started_at,
        attempt.finished_at,
        attempt.exception_type,
        attempt.exception_message,
        attempt.traceback,
    )


def _server(server_id: int | None, servers: dict[Any, Servers]) -> str:
    if server_id is None:
        return _("in the process that pushed it")
    if server_id in servers:
        return str(servers[server_id])
    return _("server %(id)d, which is gone") % {"id": server_id}


def _with_logs(attempts: list[Attempt], logs: Any) -> Iterator[Attempt]:
    """Give the attempts what they logged; of some there may be nothing else."""
    lines = {each.attempt: each for each in logs}
    known = {each.number for each in attempts}
    others = [Attempt(number) for number in lines if number not in known]
    for attempt in sorted([*attempts, *others], key=lambda each: each.number):
        if log := lines.pop(attempt.number, None):
            yield replace(attempt, lines=[*map(_line, log.lines)], omitted=log.omitted)
        else:
            yield attempt


def _line(stored: Sequence[str]) -> LogLine:
    at, level, logger, message = stored
    try:
        return LogLine(as_stored(datetime.fromisoformat(at)), level, logger, message)
    except ValueError:
        return LogLine(None, level, logger, message)


def _moments(
    row: QueuedTasks,
    end: SuccessTasks | FailedTasks | None,
    attempts: Sequence[Attempt],
    now: datetime,
) -> Iterator[Moment]:
    """Tell the times of a task in their order."""
    told = [Moment(_("pushed"), row.pushed_at)]
    if row.run_after != row.pushed_at:
        told.append(Moment(_("due"), row.run_after, row.run_after > now))
    if row.claimed_at:
        told.append(Moment(_("claimed"), row.claimed_at))
    for each in attempts:
        number = {"number": each.number}
        if each.started_at and each.started_at != row.claimed_at:
            told.append(Moment(_("attempt %(number)d started") % number, each.started_at))
        if each.finished_at and each.exception_type:
            told.append(Moment(_("attempt %(number)d failed") % number, each.finished_at))
    if end:
        told.append(Moment(_("finished"), end.finished_at))
    return iter(sorted(told, key=lambda moment: moment.at))
