"""manage.py leek_status"""

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from leek import client, status
from leek.conf import config
from leek.exceptions import ServerUnreachable
from leek.management.base import LeekCommand
from leek.protocol import Reply
from leek.queues import described

QUESTIONS = ("ping", "waiting", "handled")
WORKER_OFF, NO_SERVER = 1, 2  # exit codes


class Command(LeekCommand):
    """Show how the queue and its server are.

    Exit codes: 0 if the Worker is on, 1 if it is stopped, 2 if no server answers.
    """

    help = (
        "Shows how the queue and its server are. Exit code 0: the Worker is on; 1: it is stopped;"
        " 2: no server answers."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the question and the output format."""
        parser.add_argument("question", nargs="?", choices=QUESTIONS, help="ask only this")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask the server, and the database if nothing in particular was asked for."""
        if options["question"]:
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
        f"Waiting: {figures.waiting}",
        f"Deferred: {figures.deferred}",
        f"Running: {figures.running}",
        f"Successful: {figures.successful}",
        f"Failed: {figures.failed}",
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
