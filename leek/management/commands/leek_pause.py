"""manage.py leek_pause"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from leek.api import pause_queue
from leek.exceptions import InvalidTask
from leek.management.base import LeekCommand


class Command(LeekCommand):
    """Pause queues."""

    help = "Pauses queues: no server takes a task from them until leek_resume."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the queues."""
        parser.add_argument("queues", nargs="+", metavar="queue", help="name of a queue")

    def handle(self, *args: Any, **options: Any) -> None:
        """Pause the queues, and say of each whether that is new."""
        for queue in options["queues"]:
            try:
                is_new = pause_queue(queue)
            except InvalidTask as error:
                raise CommandError(str(error)) from error
            self.say(f"Queue {queue} is paused{'' if is_new else ' already'}.")
