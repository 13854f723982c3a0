"""The figures of the queue as lines for a person."""

from collections.abc import Iterator

from leek import status
from leek.conf import places
from leek.management.looks import Look
from leek.places import Place
from leek.protocol import Reply
from leek.queues import described


def as_lines(look: Look) -> list[str]:
    """Return what was seen, line by line; nothing in it moves the cursor of a terminal."""
    return [printable(line) for line in _lines(look)]


def printable(line: str) -> str:
    """Return a line with a question mark for each character that is none to be seen."""
    return "".join(character if character.isprintable() else "?" for character in line)


def _lines(look: Look) -> Iterator[str]:
    if figures := look.figures:
        yield from _counts(figures)
        yield from map(_gate, figures.gates)
        yield from map(_queue, figures.queues)
    else:
        yield look.database_error or ""
    yield _worker(look)
    if figures:
        for server in figures.servers:
            yield _server(server) + _answering(server, look.reply_of(server))
            yield from map(_running, server.running_tasks)
        yield from map(_schedule, figures.schedules)


def _worker(look: Look) -> str:
    """Tell how the Worker is where the settings say, and of several places at which."""
    named = places()
    which = f" (at {look.answer.place})" if look.answer and len(named) > 1 else ""
    return f"Worker at {', '.join(map(str, named))}: {look.worker}{which}"


def _counts(figures: status.Figures) -> Iterator[str]:
    age = figures.oldest_waiting
    yield f"Oldest waiting task: {'none' if age is None else f'{age:.1f} s'}"
    yield f"Waiting: {figures.waiting.text}"
    yield f"Deferred: {figures.deferred.text}"
    yield f"Running: {figures.running:,}"
    yield f"Successful: {figures.successful.text}"
    yield f"Failed: {figures.failed.text}"
    yield f"Blocked: {figures.blocked.text}"


def _gate(gate: status.GateFigures) -> str:
    since = gate.since and status.moment(gate.since)
    outage = f", since {since}: {status.brief(gate.reason)}" if since else ""
    return f"Gate {gate.name}: {gate.tasks:,} task(s){outage}"


def _queue(queue: status.QueueFigures) -> str:
    age = queue.oldest_waiting
    oldest = "" if age is None else f", the oldest for {age:.1f} s"
    paused = f", paused since {status.moment(queue.paused_since)}" if queue.paused_since else ""
    return f"Queue {queue.name}: {queue.waiting.text} waiting{oldest}{paused}"


def _server(server: status.ServerFigures) -> str:
    place = Place(server.address, server.port) if server.port else "Celery"
    workers = f"{server.workers} Worker(s)" if server.workers else "relays to Celery"
    queues = f" {described(server.weights or server.queues)}," if server.port else ""
    return (
        f"Server {server.host} {place}, process {server.pid}:"
        f" {workers},{queues} {server.running:,} task(s)"
    )


def _answering(server: status.ServerFigures, reply: Reply | None) -> str:
    """Tell what is not as it should be with a server that listens."""
    if not server.port or (reply and reply.ok):
        return ""
    return ", Worker off" if reply else ", does not answer from here"


def _running(task: status.RunningFigures) -> str:
    done, total = task.progress_done, task.progress_total
    progress = "" if done is None else f", {done:,} of {total:,}" if total else f", {done:,}"
    return f"  Task {task.id} {task.name}, since {status.moment(task.since)}{progress}"


def _schedule(schedule: status.ScheduleFigures) -> str:
    next_due, last_due = (
        f"{time:%Y-%m-%d %H:%M:%S}" if time else "never"
        for time in (schedule.next_due, schedule.last_due)
    )
    task = f" as task {schedule.task_id}" if schedule.task_id else ""
    return f"Schedule {schedule.name}: next {next_due}, last {last_due}{task}"
