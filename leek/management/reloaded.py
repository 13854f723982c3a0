"""The start of a server that ends when the code changes, for `leek.management.reloading`.

Over a pipe it gets the command line, and then orders to stop.
"""

import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection

import django
from django.utils.autoreload import check_errors

from leek.management.leash import Leash
from leek.management.reloading import CHANGED

WRONG = 1  # the exit code of a command that a change of the code, or of settings, may mend


def main(descriptor: int) -> None:
    """Run the server; where the code does not let it start, wait for a change of the code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until there is a server that acts on it
    leash = Leash(Connection(descriptor))
    sys.argv = leash.command_line()
    threading.Thread(target=leash.run, name="leek-leash", daemon=True).start()
    try:
        check_errors(django.setup)()
        from leek.management.reloaded_server import Command

        Command(leash).run_from_argv(sys.argv)
    except SystemExit as end:
        if end.code != WRONG:
            raise
    except Exception:  # noqa: BLE001 (it is shown)
        traceback.print_exc()
    else:
        sys.exit(leash.exit_code)
    await_change()


def await_change() -> None:
    """Wait for a change of the code, then end."""
    from leek.server.watching import CodeWatch

    print("leek_server starts when the code has changed.", file=sys.stderr, flush=True)  # noqa: T201
    CodeWatch(lambda: None).run_without_site()
    sys.exit(CHANGED)
