"""manage.py leek_purge"""

from typing import Any

from django.core.management.base import CommandParser

from leek import upkeep
from leek.management.base import LeekCommand
from leek.management.options import age
from leek.management.progress import Progress


class Command(LeekCommand):
    """Delete finished tasks with their outcome: those that succeeded, if not asked otherwise."""

    help = "Deletes finished tasks with their outcome; successes by default."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add which tasks are meant."""
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--failed", action="store_true", help="failed tasks instead")
        which.add_argument("--all", action="store_true", help="both")
        parser.add_argument(
            "--older-than", type=age, metavar="AGE", help="finished so long ago: 90s 30m 12h 7d 2w"
        )
        parser.add_argument("--dry-run", action="store_true", help="only count them")

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete the tasks in batches, and print how many."""
        older_than = options["older_than"]
        chosen: list[upkeep.Outcomes] = []
        if not options["failed"]:
            chosen.append(upkeep.successes(older_than))
        if options["failed"] or options["all"]:
            chosen.append(upkeep.failures(older_than))
        if options["dry_run"]:
            self.say(f"Would delete {sum(rows.count() for rows in chosen)} tasks.")
            return
        progress = Progress(self.stderr, lambda: sum(rows.count() for rows in chosen))
        deleted = sum(progress.track(done for rows in chosen for done in upkeep.purge(rows)))
        upkeep.forget_gates()
        self.say(f"Deleted {deleted} tasks.")
