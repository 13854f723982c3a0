"""manage.py leek_status"""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from leek import client, explaining, status
from leek.conf import config
from leek.exceptions import ServerUnreachable
from leek.management.base import LeekCommand
from leek.management.options import task_id
from leek.models import QueuedTasks
from leek.protocol import Reply
from leek.queues import described

QUESTIONS = ("ping", "waiting", "handled")
WORKER_OFF, NO_SERVER = 1, 2  # exit codes


def question_or_task(text: str) -> str | int:
    """Parse a question to the server, or the id of a task."""
    if text in QUESTIONS:
        return text
    try:
        return task_id(text)
    except argparse.ArgumentTypeError:
        questions = ", ".join(QUESTIONS)
        raise argparse.ArgumentTypeError(
            f"{text} is neither a question ({questions}) nor the id of a task"
        ) from None


class Command(LeekCommand):
    """Show how the queue and its server are, or explain one task.

    Exit codes: 0 if the Worker is on, 1 if it is stopped, 2 if no server answers. For a task: 0 if
    there is such a task, else 1.
    """

    help = (
        "Shows how the queue and its server are. Exit code 0: the Worker is on; 1: it is stopped;"
        " 2: no server answers. With the id of a task: why it is where it is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the question and the output format."""
        parser.add_argument(
            "question",
            nargs="?",
            type=question_or_task,
            metavar="{ping,waiting,handled,<id>}",
            help="ask only this, or explain this task",
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask the server, and the database if nothing in particular was asked for."""
        if isinstance(options["question"], int):
            self.explain(options["question"], as_json=options["json"])
        elif options["question"]:
            self.ask(options["question"], as_json=options["json"])
        else:
            self.show(as_json=options["json"])

    def ask(self, question: str, *, as_json: bool) -> None:
        """Print the server's answer to one question."""
        try:
            reply = client.ask(question)
        except ServerUnreachable as error:
            raise CommandError(str(error), returncode=NO_SERVER) from error
        if as_json:
            self.stdout.write(json.dumps({"sent": question, "received": list(reply)}))
        else:
            self.stdout.write(f"Sent: {question}\nReceived: {tuple(reply)}")
        exit_by(reply)

    def explain(self, task: int, *, as_json: bool) -> None:
        """Print why a task is where it is."""
        try:
            found = explaining.explain(task, is_listening)
        except QueuedTasks.DoesNotExist:
            raise CommandError(f"There is no task {task}, or it was purged.") from None
        if as_json:
            self.stdout.write(json.dumps(asdict(found)))
        else:
            self.stdout.write(f"Task {found.id} {found.name}: {found.explanation}")

    def show(self, *, as_json: bool) -> None:
        """Print everything at a glance."""
        figures = status.figures()
        try:
            reply, problem = client.ask("ping"), None
        except ServerUnreachable as error:
            reply, problem = None, str(error)
        if as_json:
            worker_on = bool(reply and reply.ok)
            answer = {"worker_on": worker_on, **asdict(figures)}
            self.stdout.write(json.dumps(answer, cls=DjangoJSONEncoder))
        else:
            self.stdout.write(as_text(figures, reply))
        if reply is None:
            raise CommandError(problem, returncode=NO_SERVER)
        exit_by(reply)


def is_listening() -> bool:
    """Tell whether a server answers where the settings say."""
    try:
        client.ask("ping")
    except ServerUnreachable:
        return False
    return True


def exit_by(reply: Reply) -> None:
    """End with an exit code that says whether the Worker is on."""
    if not reply.ok:
        sys.exit(WORKER_OFF)


def as_text(figures: status.Figures, reply: Reply | None) -> str:
    """Return the figures as lines for a person."""
    age = figures.oldest_waiting
    place = f"{config.TASKS_HOST}:{config.TASKS_PORT}"
    worker = "no server" if reply is None else "on" if reply.ok else "off"
    lines = [
        f"Oldest waiting task: {'none' if age is None else f'{age:.1f} s'}",
        f"Waiting: {figures.waiting:,}",
        f"Deferred: {figures.deferred:,}",
        f"Running: {figures.running:,}",
        f"Successful: {figures.successful:,}",
        f"Failed: {figures.failed:,}",
        f"Blocked: {figures.blocked:,}",
        *map(gate_as_text, figures.gates),
        f"Worker at {place}: {worker}",
    ]
    return "\n".join(
        [
            *lines,
            *map(server_as_text, figures.servers),
            *map(schedule_as_text, figures.schedules),
        ]
    )


def server_as_text(server: status.ServerFigures) -> str:
    """Return the line of a server."""
    queues = described(server.weights or server.queues)
    return (
        f"Server {server.host} {server.address}:{server.port}, process {server.pid}:"
        f" {server.workers} Worker(s), {queues}, {server.running} task(s)"
    )


def schedule_as_text(schedule: status.ScheduleFigures) -> str:
    """Return when a recurring task is due next, and when it was pushed last."""
    next_due, last_due = (
        f"{time:%Y-%m-%d %H:%M:%S}" if time else "never"
        for time in (schedule.next_due, schedule.last_due)
    )
    task = f" as task {schedule.task_id}" if schedule.task_id else ""
    return f"Schedule {schedule.name}: next {next_due}, last {last_due}{task}"


def gate_as_text(gate: status.GateFigures) -> str:
    """Return the line of a gate at which tasks wait."""
    outage = f", since {gate.since}: {status.brief(gate.reason)}" if gate.since else ""
    return f"Gate {gate.name}: {gate.tasks:,} task(s){outage}"
