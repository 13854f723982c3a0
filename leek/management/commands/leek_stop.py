"""manage.py leek_stop"""

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from leek import client, fleet
from leek.client import ASK_TIMEOUT
from leek.conf import places
from leek.connecting import is_here
from leek.exceptions import ServerUnreachable
from leek.management.base import LeekCommand
from leek.places import Place

REFUSED, NO_SERVER = 1, 2  # exit codes


class Command(LeekCommand):
    """Stop the Worker gracefully, then the server, and return when that is done."""

    help = (
        "Stops the Worker gracefully, then the server of this machine, or all with --all. Exit code"
        " 2: no server answers, or not all of them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options that say what is stopped, and of how many."""
        parser.add_argument(
            "--worker-only",
            action="store_true",
            help="leave the socket, which then answers (False, 'Worker Off')",
        )
        parser.add_argument(
            "--all",
            action="store_true",
            help="stop all servers that share this queue, wherever they are, side by side",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Give the order, and wait until it is carried out."""
        order = "stop-worker" if options["worker_only"] else "stop"
        if options["all"]:
            self.stop_all(order)
        else:
            self.stop(order)

    def stop(self, order: str) -> None:
        """Stop one server, where the settings say."""
        try:
            place = place_to_stop()
            reply = client.command(order, host=place.host, port=place.port)
        except ServerUnreachable as error:
            raise CommandError(str(error), returncode=NO_SERVER) from error
        if not reply.ok:
            raise CommandError(f"leek_server refuses: {reply.value}.", returncode=REFUSED)
        self.say("Worker off." if order == "stop-worker" else "Server stopped.")

    def stop_all(self, order: str) -> None:
        """Stop the whole fleet, and tell of each server as soon as that is done."""
        if not (members := fleet.members()):
            raise CommandError("No leek_server is running.", returncode=NO_SERVER)
        done = ": Worker off." if order == "stop-worker" else " stopped."
        problems: set[int] = set()
        for member, answer in fleet.command_each(order, members):
            if isinstance(answer, ServerUnreachable):
                problems.add(NO_SERVER)
                self.stderr.write(f"Server {member.name} cannot be reached: {answer}")
            elif not answer.ok:
                problems.add(REFUSED)
                self.stderr.write(f"Server {member.name} refuses: {answer.value}.")
            else:
                self.say(f"Server {member.name}{done}")
        if problems:
            sys.exit(min(problems))


def place_to_stop() -> Place:
    """Return where the server is to be stopped: of several places at the first of this machine."""
    named = places()
    if len(named) == 1:
        return named[0]
    if here := [place for place in named if is_here(place.host, ASK_TIMEOUT)]:
        return client.ask_in_turn("ping", here).place
    raise CommandError(
        f"None of {', '.join(map(str, named))} is at this machine. Run leek_stop there, name the"
        f" one to stop (LEEK_TASKS_HOST={named[0]} manage.py leek_stop), or stop all with --all.",
        returncode=NO_SERVER,
    )
