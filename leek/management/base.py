"""What leek's commands have in common."""

from contextlib import suppress
from typing import Any

from django import db
from django.core.management.base import BaseCommand, CommandError

from leek import checks, leases
from leek.conf import InvalidSetting


class LeekCommand(BaseCommand):
    """Runs the checks of leek's settings only, and tells in one line what is wrong otherwise."""

    requires_system_checks = [checks.SETTINGS]
    quiet = False

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; raise CommandError where settings or database are wrong."""
        self.quiet = options["verbosity"] == 0
        try:
            return super().execute(*args, **options)
        except InvalidSetting as error:
            raise CommandError(str(error)) from error
        except db.Error as error:
            raise CommandError(explain(error)) from error

    def say(self, text: str) -> None:
        """Print what was done, unless --verbosity 0 asks for silence."""
        if not self.quiet:
            self.stdout.write(text)


def explain(error: db.Error) -> str:
    """Return what is the matter with the database, in one line."""
    with suppress(db.Error):
        if remedy := leases.remedy():
            return remedy
    return f"The database fails: {' '.join(str(error).split())}"
