"""manage.py leek_server"""

import argparse
import logging
import os
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from leek import checks
from leek import setting_kinds as kinds
from leek.conf import config
from leek.engine import CELERY, supervisor_from
from leek.management.base import LeekCommand
from leek.management.options import value_of
from leek.management.reloading import Reloader
from leek.server.configured import chosen, log_to_stderr
from leek.server.listener import PortInUse
from leek.server.listening import NoPlaceHere
from leek.server.supervisor import Supervisor

CANNOT_LISTEN = 2  # exit code


class Command(LeekCommand):
    """Run pushed tasks until stopped: by a signal, by leek_stop, or by an option."""

    help = "Runs pushed tasks. SIGTERM, SIGINT and leek_stop stop it gracefully."

    exit_code = 0
    _argv: list[str] | None = None  # as for code that calls this command and goes on

    def run_from_argv(self, argv: list[str]) -> None:
        """Run as all that this process does."""
        self._argv = argv
        super().run_from_argv(argv)

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options; what is left out is taken from the settings."""
        add_service_options(parser)
        add_end_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the server, and say when it is ready."""
        log_to_stderr(options["verbosity"])
        refuse_senseless(options)
        for wrong in [*checks.check_backends(), *checks.check_engine()]:  # its tasks would all fail
            raise CommandError(f"{wrong.msg} {wrong.hint}")
        if options["reload"]:
            self.keep_reloading()
        else:
            self.run_server(options)

    def keep_reloading(self) -> None:
        """Run the server in one child process after the other."""
        if self._argv is None:
            raise CommandError("--reload runs this command line again: call_command has none.")
        if code := Reloader(self._argv).run():
            sys.exit(code)

    def run_server(self, options: dict[str, Any]) -> None:
        """Run the server in this process."""
        supervisor = listening_supervisor(options)
        self.check(tags=[checks.DATABASE, checks.MAIL])
        if not self.serve(supervisor):
            self.end_process()

    def serve(self, supervisor: Supervisor) -> bool:
        """Serve until a stop; return whether nothing runs any more."""
        return supervisor.run(self.say_ready, ends_process=self._argv is not None)

    def say_ready(self, host: str, port: int) -> None:
        """Print the line that says that hints are accepted and tasks are run."""
        self.stdout.write(f"leek_server is ready at {host}:{port}")
        self.stdout.flush()

    def end_process(self) -> None:
        """Exit now: at the usual exit Python would wait for an async task that was given back."""
        logging.shutdown()
        self.stdout.flush()
        self.stderr.flush()
        os._exit(self.exit_code)


def listening_supervisor(options: dict[str, Any]) -> Supervisor:
    """Return a server that listens; raise CommandError where it cannot."""
    try:
        return supervisor_from(options)
    except PortInUse as error:
        problem = f": {error}. Stop what listens there, or choose another --port."
    except NoPlaceHere as error:
        problem = f": {error}. Say by --host where to listen, or name this machine in TASKS_HOST."
    except OSError as error:
        problem = f" at {chosen(options['host'], config.TASKS_HOST)}: {error}."
    raise CommandError(f"leek_server cannot listen{problem}", returncode=CANNOT_LISTEN)


def refuse_senseless(options: dict[str, Any]) -> None:
    """Raise CommandError for options that mean nothing together, or nothing with Celery."""
    if config.ENGINE == CELERY:
        refuse_options_of_workers(options)
        return
    isolates = chosen(options["isolate"], config.ISOLATE)
    if options["max_memory"] and not isolates:
        raise CommandError("--max-memory replaces child processes: add --isolate.")
    if not options["reload"]:
        return
    for option in ("drain", "idle_timeout", "max_tasks"):
        if options[option] and not (option == "max_tasks" and isolates):
            flag = f"--{option.replace('_', '-')}"
            raise CommandError(
                f"--reload runs the server until it is stopped, {flag} ends it sooner:"
                " leave one of them out."
            )


def refuse_options_of_workers(options: dict[str, Any]) -> None:
    """Raise CommandError for an option of Workers, which a server has not that relays to Celery."""
    for option in ("workers", "isolate", "max_tasks", "max_memory"):
        if options[option]:
            flag = f"--{option.replace('_', '-')}"
            raise CommandError(
                f'{flag} is about Workers, but with TASKS_QUEUE["ENGINE"] = "celery" this server'
                " has none: leave it out, and give Celery's workers an option of theirs."
            )


def add_service_options(parser: CommandParser) -> None:
    """Add the options that say where the server listens, what it runs, and in what."""
    parser.add_argument(
        "--host", type=value_of(kinds.TEXT), help="address to listen at (TASKS_HOST)"
    )
    parser.add_argument(
        "--port", type=value_of(kinds.ANY_PORT), help="port to listen at (TASKS_PORT); 0: any"
    )
    parser.add_argument(
        "--workers", type=value_of(kinds.COUNT), help="tasks run at a time (WORKERS)"
    )
    parser.add_argument(
        "--isolate",
        action=argparse.BooleanOptionalAction,
        help="run each Worker's tasks in a child process (ISOLATE)",
    )
    parser.add_argument(
        "--queues",
        type=value_of(kinds.QUEUES),
        help="names or patterns (*) of the queues to serve, with commas, and weights if they are"
        " to share: default=3,mail-*=1 (QUEUES)",
    )
    parser.add_argument(
        "--max-memory",
        type=value_of(kinds.COUNT),
        metavar="MB",
        help="with --isolate, replace a child that holds more after a task",
    )
    parser.add_argument(
        "--reload", action="store_true", help="start anew when the site's code has changed"
    )


def add_end_options(parser: CommandParser) -> None:
    """Add the options that say when the server stops, and how long that may take."""
    seconds = value_of(kinds.SECONDS)
    parser.add_argument("--drain", action="store_true", help="stop when nothing is due")
    parser.add_argument(
        "--idle-timeout", type=seconds, metavar="S", help="stop after S seconds without work"
    )
    parser.add_argument(
        "--max-tasks",
        type=value_of(kinds.COUNT),
        metavar="N",
        help="stop after N attempts; with --isolate, replace a child after N",
    )
    parser.add_argument(
        "--shutdown-timeout",
        type=seconds,
        metavar="S",
        help="seconds that running tasks get at a stop (SHUTDOWN_TIMEOUT)",
    )
