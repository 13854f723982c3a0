"""The command leek_server, as it is run in a child process of `leek_server --reload`."""

from typing import Any

from leek.conf import config
from leek.management.commands import leek_server
from leek.management.leash import Leash
from leek.server.configured import chosen
from leek.server.supervisor import Supervisor
from leek.server.watching import CodeWatch


class Command(leek_server.Command):
    """Runs the server until the code changes, or the parent process asks for a stop."""

    def __init__(self, leash: Leash) -> None:
        super().__init__()
        self._leash = leash
        self._isolates = False

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the server in this very process."""
        self._isolates = chosen(options["isolate"], config.ISOLATE)
        super().handle(*args, **{**options, "reload": False})

    def serve(self, supervisor: Supervisor) -> bool:
        """Serve until a stop, or a change of the code."""
        self._leash.hold(supervisor)
        CodeWatch(self._leash.reload, templates_too=self._isolates).start()
        try:
            return super().serve(supervisor)
        finally:
            self._leash.hold(None)
            self.exit_code = self._leash.exit_code
