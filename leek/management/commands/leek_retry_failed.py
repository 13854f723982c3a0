"""manage.py leek_retry_failed"""

import argparse
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import QuerySet
from django.utils.dateparse import parse_date, parse_datetime

from leek import hinting, upkeep
from leek.database import as_stored, in_utc
from leek.lifecycle import PushedBack
from leek.management.base import LeekCommand
from leek.management.options import task_id
from leek.management.progress import Progress
from leek.models import FailedTasks

MOST_NAMED = 20  # tasks, by their ids


def word(text: str) -> str:
    """Refuse an empty value, which may be a shell variable that is not set."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; name what is meant, or leave the option out")
    return text


def moment(text: str) -> datetime:
    """Parse a date or a date with time, in the site's time zone if it names none."""
    with suppress(ValueError, OverflowError):
        found = parse_datetime(text)
        if found is None and (day := parse_date(text)):
            found = datetime(day.year, day.month, day.day)  # noqa: DTZ001 (in_utc adds it)
        if found is not None:
            return as_stored(in_utc(found))
    raise argparse.ArgumentTypeError(f"{text} is not a time such as 2026-11-24 or 2026-11-24T10:30")


class Command(LeekCommand):
    """Push failed tasks back: all of them, or those that are chosen."""

    help = "Pushes failed tasks back, with clean counters; all of them, or those that are chosen."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add which tasks are meant."""
        parser.add_argument("ids", nargs="*", type=task_id, metavar="id", help="ids of tasks")
        parser.add_argument("--task", type=word, help="dotted path of the callable")
        parser.add_argument("--queue", type=word)
        parser.add_argument(
            "--exception", type=word, help="class of the exception, such as SMTPException"
        )
        parser.add_argument("--since", type=moment, metavar="TIME", help="failed since then")
        parser.add_argument("--dry-run", action="store_true", help="only count them")

    def handle(self, *args: Any, **options: Any) -> None:
        """Push the tasks back in batches, and print how many."""
        meant = upkeep.FailedFilter(
            ids=tuple(options["ids"]),
            name=options["task"],
            queue=options["queue"],
            exception=options["exception"],
            since=options["since"],
        )
        if meant.ids and (others := meant.not_failed()):
            self.stderr.write(
                f"Left {len(others)} task(s) that have not failed: {as_text(others)}."
                " leek_status <id> tells what became of one."
            )
        if options["dry_run"]:
            self.say(f"Would push back {meant.rows().count()} tasks.")
            return
        pushed = self.push_back(meant.rows())
        if pushed.number:
            hinting.hint()
        self.say(f"Pushed back {pushed.number} tasks.")
        if pushed.left:
            self.say(
                f"Left {len(pushed.left)} task(s) whose unique key a newer task has taken:"
                f" {as_text(pushed.left)}"
            )

    def push_back(self, chosen: QuerySet[FailedTasks]) -> PushedBack:
        """Push the tasks back in batches, and show how far that is."""
        pushed = PushedBack()
        with Progress(self.stderr, chosen.count) as progress:
            for batch in upkeep.retry(chosen):
                pushed += batch
                progress.add(batch.number + len(batch.left))
        return pushed


def as_text(ids: Sequence[int]) -> str:
    """Return some of the ids, the first ones."""
    return ", ".join([*map(str, ids[:MOST_NAMED]), *["..."][: len(ids) > MOST_NAMED]])
