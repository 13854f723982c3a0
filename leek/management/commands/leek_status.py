"""manage.py leek_status"""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser, no_translations
from django.core.serializers.json import DjangoJSONEncoder

from leek import client, explaining
from leek.exceptions import ServerUnreachable
from leek.management import looks
from leek.management.base import LeekCommand
from leek.management.looks import Look
from leek.management.options import seconds, task_id, value_of
from leek.management.status_text import as_lines, printable
from leek.management.thresholds import Thresholds
from leek.management.watching import watch_documents, watch_lines
from leek.models import QueuedTasks
from leek.protocol import Reply
from leek.setting_kinds import DAY, NUMBER
from leek.status import moment

QUESTIONS = ("ping", "waiting", "handled")
WORKER_OFF, NO_SERVER, EXCEEDED = 1, 2, 3  # exit codes
OPTIONS_WRONG = 2
USUAL_INTERVAL, SHORTEST_INTERVAL = 2.0, 0.1  # seconds


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


def interval(text: str) -> float:
    """Parse the seconds between two looks."""
    if not SHORTEST_INTERVAL <= (found := seconds(text)) <= DAY:
        raise argparse.ArgumentTypeError(f"{text!r}. Give {SHORTEST_INTERVAL} seconds to a day.")
    return found


class Command(LeekCommand):
    """Show how the queue and its server are, or explain one task.

    Exit codes, the first that applies: 2 if no server answers, 1 if the Worker is stopped, 3 if a
    threshold is exceeded; else 0. For a task: 0 if there is such a task, else 1.
    """

    help = (
        "Shows how the queue and its server are. Exit code 0: the Worker is on; 1: it is stopped;"
        " 2: no server answers; 3: a threshold is exceeded. With the id of a task: why it is where"
        " it is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the question, the output format, and the ways to keep an eye on the queue."""
        parser.add_argument(
            "question",
            nargs="?",
            type=question_or_task,
            metavar="{ping,waiting,handled,<id>}",
            help="ask only this, or explain this task",
        )
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.add_argument(
            "--watch",
            nargs="?",
            type=interval,
            const=USUAL_INTERVAL,
            metavar="SECONDS",
            help=f"show it again every so many seconds ({USUAL_INTERVAL:g}), until Ctrl-C",
        )
        parser.add_argument(
            "--max-age",
            type=seconds,
            metavar="AGE",
            help="exit code 3 if a task has waited for longer: seconds, or 90s 5m 2h",
        )
        parser.add_argument(
            "--max-failed",
            type=value_of(NUMBER),
            metavar="N",
            help="exit code 3 if more tasks have failed, and were not purged or tried again",
        )

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        """Ask the server, and the database if nothing in particular was asked for."""
        question, as_json, every = options["question"], options["json"], options["watch"]
        thresholds = Thresholds(options["max_age"], options["max_failed"])
        if thresholds.are_given and (question or every):
            refuse("--max-age and --max-failed go neither with a question, nor with --watch.")
        if question and every:
            refuse("--watch shows everything: give no question with it.")
        if every:
            self.watch(every, as_json=as_json)
        elif isinstance(question, int):
            self.explain(question, as_json=as_json)
        elif question:
            self.ask(question, as_json=as_json)
        else:
            self.show(thresholds, as_json=as_json)

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
            self.stdout.write(json.dumps({"version": looks.VERSION, **asdict(found)}))
        else:
            text = f"Task {found.id} {found.name}: {found.explanation}"
            self.stdout.write(printable(text))

    def show(self, thresholds: Thresholds, *, as_json: bool) -> None:
        """Print everything at a glance, and say what is wrong."""
        look = looks.look()
        self.stdout.write(document(look) if as_json else "\n".join(as_lines(look)))
        exceeded = thresholds.exceeded(look.figures) if look.figures else None
        problems = " ".join(filter(None, (look.server_error, exceeded)))
        if look.reply is None:
            raise CommandError(problems, returncode=NO_SERVER)
        if problems:
            raise CommandError(problems, returncode=EXCEEDED if look.reply.ok else WORKER_OFF)
        exit_by(look.reply)

    def watch(self, every: float, *, as_json: bool) -> None:
        """Show everything at a glance again and again."""
        if as_json:
            watch_documents(self.stdout, lambda: document(looks.look_in_any_case()), every)
        else:
            watch_lines(self.stdout, dated_lines, every)


def refuse(problem: str) -> None:
    """End because options do not go together."""
    raise CommandError(problem, returncode=OPTIONS_WRONG)


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


def document(look: Look) -> str:
    """Return what was seen as JSON, in one line."""
    return json.dumps(look.document(), cls=DjangoJSONEncoder)


def dated_lines() -> list[str]:
    """Look, and return the time and what was seen."""
    look = looks.look_in_any_case()
    return [moment(look.time), *as_lines(look)]
