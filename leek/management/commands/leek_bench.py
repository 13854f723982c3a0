"""manage.py leek_bench"""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from leek import setting_kinds as kinds
from leek.bench.figures import Plan
from leek.bench.report import as_dict, as_text
from leek.bench.session import measure
from leek.exceptions import LeekError
from leek.management.base import LeekCommand
from leek.management.options import value_of
from leek.management.progress import Progress


class Command(LeekCommand):
    """Measure how fast tasks are pushed and run on the site's own database.

    Exit codes: 0 if it was measured, 1 if not, and why is on stderr.
    """

    help = (
        "Measures how fast tasks are pushed and run on this site's database, in tables of its own."
        " The site's tasks are not touched."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add how much is measured, and the output format."""
        count, plan = value_of(kinds.COUNT), Plan()
        parser.add_argument(
            "--tasks",
            type=count,
            default=plan.tasks,
            metavar="N",
            help=f"pushed at once and drained, three times over ({plan.tasks:,})",
        )
        parser.add_argument(
            "--pushes",
            type=count,
            default=plan.pushes,
            metavar="N",
            help=f"pushed one by one ({plan.pushes})",
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Measure, and print the figures."""
        plan = Plan(options["tasks"], options["pushes"])
        try:
            with Progress(self.stderr, lambda: plan.steps) as progress:
                figures = measure(plan, progress.add)
        except LeekError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(as_dict(figures)))
        else:
            self.stdout.write(as_text(figures))
