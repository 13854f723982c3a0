"""manage.py leek_server"""

import argparse
import logging
import os
from typing import Any

from django.core.management.base import CommandError, CommandParser

from leek import checks
from leek import setting_kinds as kinds
from leek.conf import config
from leek.log_context import TaskFormatter, name_tasks_on_stderr
from leek.management.base import LeekCommand
from leek.management.options import value_of
from leek.policy import terms_of_settings
from leek.server.listener import PortInUse
from leek.server.options import PoolOptions
from leek.server.supervisor import ServerOptions, Supervisor

CANNOT_LISTEN = 2  # exit code
MEGABYTE = 1_000_000
LEVELS = {0: logging.WARNING, 1: logging.INFO}


class Command(LeekCommand):
    """Run pushed tasks until stopped: by a signal, by leek_stop, or by an option."""

    help = "Runs pushed tasks. SIGTERM, SIGINT and leek_stop stop it gracefully."

    _ends_process = False  # as for code that calls this command and goes on

    def run_from_argv(self, argv: list[str]) -> None:
        """Run as all that this process does."""
        self._ends_process = True
        super().run_from_argv(argv)

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options; what is left out is taken from the settings."""
        add_service_options(parser)
        add_end_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the server, and say when it is ready."""
        log_to_stderr(options["verbosity"])
        if options["max_memory"] and not chosen(options["isolate"], config.ISOLATE):
            raise CommandError("--max-memory replaces child processes: add --isolate.")
        for wrong in checks.check_backends():  # its tasks would all fail
            raise CommandError(f"{wrong.msg} {wrong.hint}")
        try:
            supervisor = Supervisor(server_options(options), pool_options(options))
        except PortInUse as error:
            remedy = "Stop what listens there, or choose another --port."
            raise CommandError(
                f"leek_server cannot listen: {error}. {remedy}", returncode=CANNOT_LISTEN
            ) from error
        except OSError as error:
            place = chosen(options["host"], config.TASKS_HOST)
            raise CommandError(
                f"leek_server cannot listen at {place}: {error}.", returncode=CANNOT_LISTEN
            ) from error
        self.check(tags=[checks.DATABASE, checks.MAIL])
        if not supervisor.run(self.say_ready, ends_process=self._ends_process):
            self.end_process()

    def say_ready(self, host: str, port: int) -> None:
        """Print the line that says that hints are accepted and tasks are run."""
        self.stdout.write(f"leek_server is ready at {host}:{port}")
        self.stdout.flush()

    def end_process(self) -> None:
        """Exit now: at the usual exit Python would wait for an async task that was given back."""
        logging.shutdown()
        self.stdout.flush()
        self.stderr.flush()
        os._exit(0)


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


def chosen(flag: Any, setting: Any) -> Any:
    """Return a flag's value, or the setting's where the flag was left out."""
    return setting if flag is None else flag


def server_options(options: dict[str, Any]) -> ServerOptions:
    """Return the values for the server, from flags and settings."""
    return ServerOptions(
        host=chosen(options["host"], config.TASKS_HOST),
        port=chosen(options["port"], config.TASKS_PORT),
        lease=config.LEASE,
        shutdown_timeout=chosen(options["shutdown_timeout"], config.SHUTDOWN_TIMEOUT),
        drain=options["drain"],
        idle_timeout=options["idle_timeout"],
    )


def pool_options(options: dict[str, Any]) -> PoolOptions:
    """Return the values for the Worker, from flags and settings."""
    return PoolOptions(
        workers=chosen(options["workers"], config.WORKERS),
        queues=chosen(options["queues"], config.QUEUES),
        terms=terms_of_settings(),
        max_crashes=config.MAX_CRASHES,
        serializer_mode=config.SERIALIZER,
        park_for=config.PARK_FOR,
        poll_interval=config.POLL_INTERVAL,
        async_limit=config.ASYNC_LIMIT,
        isolate=chosen(options["isolate"], config.ISOLATE),
        max_tasks=options["max_tasks"],
        max_memory=options["max_memory"] and options["max_memory"] * MEGABYTE,
        aliases=config.ALIASES,
        purge_after=config.PURGE_AFTER,
        schedules=tuple(config.SCHEDULE.values()),
    )


def log_to_stderr(verbosity: int) -> None:
    """Log to stderr, unless the site's LOGGING already says what becomes of leek's log."""
    name_tasks_on_stderr()
    logger = logging.getLogger("leek")
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(TaskFormatter())
        logger.addHandler(handler)
        logger.setLevel(LEVELS.get(verbosity, logging.DEBUG))
        logger.propagate = False  # a task may give the root logger a handler
