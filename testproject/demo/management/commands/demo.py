"""Show leek at work, on a page or with a hundred mails."""

from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    """Run the site, a mail sink and leek_server together."""

    help = "Starts the demo site, a mail sink and leek_server together, and stops them together."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Offer the hundred mails."""
        parser.add_argument(
            "--once",
            action="store_true",
            help="Push a hundred mails, wait until all have arrived, say so, and exit.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Bring the database up to date, then run the demo."""
        try:
            from demo import shows
        except ModuleNotFoundError as missing:
            raise CommandError(
                f'The demo needs {missing.name}: pip install "django-leek[demo]"'
            ) from None
        call_command("migrate", interactive=False, verbosity=0)
        if options["once"]:
            shows.hundred_mails(self.stdout.write)
        else:
            shows.page(self.stdout.write)
