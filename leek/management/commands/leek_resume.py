"""manage.py leek_resume"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from leek.api import resume_queue
from leek.exceptions import InvalidTask
from leek.management.base import LeekCommand


class Command(LeekCommand):
    """Let paused queues go on."""

    help = "Lets servers take tasks again from queues that leek_pause has paused."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the queues."""
        parser.add_argument("queues", nargs="+", metavar="queue", help="name of a queue")

    def handle(self, *args: Any, **options: Any) -> None:
        """Resume the queues, and say of each whether it was paused."""
        for queue in options["queues"]:
            try:
                was_paused = resume_queue(queue)
            except InvalidTask as error:
                raise CommandError(str(error)) from error
            self.say(f"Queue {queue} goes on." if was_paused else f"Queue {queue} was not paused.")
