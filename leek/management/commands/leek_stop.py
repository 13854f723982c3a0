"""manage.py leek_stop"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leek import checks, client
from leek.conf import config
from leek.exceptions import ServerUnreachable

NO_SERVER = 2  # exit code
GRACE = 30.0  # seconds beyond SHUTDOWN_TIMEOUT until the server is given up


class Command(BaseCommand):
    """Stop the Worker gracefully, then the server, and return when that is done."""

    help = "Stops the Worker gracefully, then the server. Exit code 2: no server answers."
    requires_system_checks = [checks.SETTINGS]

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the option that leaves the socket."""
        parser.add_argument(
            "--worker-only",
            action="store_true",
            help="leave the socket, which then answers (False, 'Worker Off')",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Give the order, and wait until it is carried out."""
        order = "stop-worker" if options["worker_only"] else "stop"
        try:
            client.command(order, config.SHUTDOWN_TIMEOUT + GRACE)
        except ServerUnreachable as error:
            raise CommandError(str(error), returncode=NO_SERVER) from error
        self.stdout.write("Worker off." if options["worker_only"] else "Server stopped.")
