"""What the live page shows, as the values that its template puts in their places."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.admin import AdminSite
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from leek import history, status
from leek.admin.live_plots import period_of
from leek.admin.wording import address_of_task, address_of_tasks, count, number, percentage, span
from leek.database import aware
from leek.figures import Figures, QueueFigures, RunningFigures, ServerFigures
from leek.history import NameFigures
from leek.models import State
from leek.status import CAP, brief

MOST = 50  # queues, servers, running tasks, gates and schedules that are shown of each


@dataclass(frozen=True)
class Verdict:
    """What a reader has to know first; it changes only when that does, because it is read out."""

    mood: str
    text: str


@dataclass(frozen=True)
class Count:
    """How many tasks are in a state."""

    label: str
    number: str
    address: str = ""
    is_bad: bool = False


@dataclass(frozen=True)
class Running:
    """A task that a server runs, where its page is, and for how long it runs."""

    task: RunningFigures
    address: str
    span: str


@dataclass(frozen=True)
class Server:
    """A server and what it runs."""

    server: ServerFigures
    queues: str
    started_at: datetime | None
    running: list[Running]
    more: int


@dataclass(frozen=True)
class Queue:
    """A queue, and since when its first task waits."""

    queue: QueueFigures
    waiting: str
    span: str
    address: str


def live_values(site: AdminSite) -> dict[str, Any]:
    """Read everything that the page shows in this admin."""
    figures = status.figures(count_up_to=CAP)
    now = timezone.localtime(aware(timezone.now()))
    told = history.read(now)
    return {
        "now": now,
        "verdict": _verdict(figures),
        "counts": _counts(site, figures),
        "queues": [_queue(site, queue) for queue in _most_urgent(figures.queues)],
        "servers": _servers(site, figures.servers[:MOST], now),
        "gates": [(gate, number(gate.tasks), brief(gate.reason)) for gate in figures.gates[:MOST]],
        "schedules": figures.schedules[:MOST],
        "more": {
            name: max(len(getattr(figures, name)) - MOST, 0)
            for name in ("queues", "servers", "gates", "schedules")
        },
        "periods": [
            period_of("hour", _("Last hour"), told.hour, _("minute")),
            period_of("day", _("Last day"), told.day, _("quarter of an hour")),
        ],
        "names": [
            (key, title, [_name(site, each) for each in names])
            for key, title, names in (
                ("slowest", _("Slowest tasks of the last day"), told.slowest),
                ("failing", _("Most failing tasks of the last day"), told.failing),
            )
        ],
    }


def _verdict(figures: Figures) -> Verdict:
    out = [gate.name for gate in figures.gates if gate.since]
    paused = sum(bool(queue.paused_since) for queue in figures.queues)
    is_served = any(server.port for server in figures.servers)
    parts = [] if is_served else [_("No server is running: tasks wait.")]
    if out:
        words = _("Tasks wait for the end of an outage: %(names)s.")
        parts.append(words % {"names": ", ".join(out)})
    mood = "bad" if parts else "note" if paused else "good"
    if paused:
        words = ngettext("%(number)s queue is paused.", "%(number)s queues are paused.", paused)
        parts.append(words % {"number": paused})
    all_is_well = _("Servers are running, and nothing keeps tasks waiting.")
    return Verdict(mood, " ".join(parts) or all_is_well)


def _counts(site: AdminSite, figures: Figures) -> list[Count]:
    stored = [
        (_("Waiting"), figures.waiting, State.READY),
        (_("Running"), figures.running, State.RUNNING),
        (_("Deferred"), figures.deferred, State.DEFERRED),
        (_("Blocked"), figures.blocked, State.BLOCKED),
        (_("Failed"), figures.failed, State.FAILED),
        (_("Successful"), figures.successful, State.SUCCESSFUL),
    ]
    counts = [
        Count(
            label,
            count(figure),
            address_of_tasks(site, state=state.value),
            state == State.FAILED and figure > 0,
        )
        for label, figure, state in stored
    ]
    return [Count(_("Oldest waiting"), span(figures.oldest_waiting)), *counts]


def _most_urgent(queues: list[QueueFigures]) -> list[QueueFigures]:
    """Return the MOST queues that are paused or have waited longest, by name."""
    urgent = sorted(queues, key=lambda each: (not each.paused_since, -(each.oldest_waiting or 0)))
    return sorted(urgent[:MOST], key=lambda each: each.name)


def _queue(site: AdminSite, queue: QueueFigures) -> Queue:
    address = address_of_tasks(site, queue=queue.name, state=State.READY.value)
    return Queue(queue, count(queue.waiting), span(queue.oldest_waiting), address)


def _servers(site: AdminSite, servers: list[ServerFigures], now: datetime) -> list[Server]:
    """Return the servers, with the MOST tasks that have been running the longest."""
    running = [task for server in servers for task in server.running_tasks]
    longest = {task.id for task in sorted(running, key=lambda task: task.since)[:MOST]}
    return [
        Server(
            server,
            _served(server),
            parse_datetime(server.started_at),
            [_running(site, task, now) for task in server.running_tasks if task.id in longest],
            sum(task.id not in longest for task in server.running_tasks),
        )
        for server in servers
    ]


def _served(server: ServerFigures) -> str:
    """Name the queues of a server, with their weights; nothing if it serves all."""
    if server.weights:
        heaviest_first = sorted(server.weights.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{queue} ({weight})" for queue, weight in heaviest_first)
    return ", ".join(server.queues or [])


def _running(site: AdminSite, task: RunningFigures, now: datetime) -> Running:
    seconds = max((now - task.since).total_seconds(), 0.0)
    return Running(task, address_of_task(site, task.id), span(seconds))


def _name(site: AdminSite, figures: NameFigures) -> dict[str, str]:
    failed = {"state": State.FAILED.value, "name": figures.name}
    return {
        "name": figures.name,
        "address": address_of_tasks(site, name=figures.name),
        "attempts": number(figures.attempts),
        "mean": span(figures.mean),
        "slow": span(figures.slow),
        "failed": number(figures.failed),
        "failed_address": address_of_tasks(site, **failed),
        "share": percentage(figures.failed_share),
    }
