"""manage.py leek_stop"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from leek import client
from leek.exceptions import ServerUnreachable
from leek.management.base import LeekCommand

REFUSED, NO_SERVER = 1, 2  # exit codes


class Command(LeekCommand):
    """Stop the Worker gracefully, then the server, and return when that is done."""

    help = "Stops the Worker gracefully, then the server. Exit code 2: no server answers."

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
            reply = client.command(order)
        except ServerUnreachable as error:
            raise CommandError(str(error), returncode=NO_SERVER) from error
        if not reply.ok:
            raise CommandError(f"leek_server refuses: {reply.value}.", returncode=REFUSED)
        self.say("Worker off." if options["worker_only"] else "Server stopped.")
