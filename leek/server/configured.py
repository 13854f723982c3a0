"""What the settings say of a server, and its log where they say nothing."""

import logging
from collections.abc import Mapping
from typing import Any

from leek.conf import config, places
from leek.log_context import TaskFormatter, name_tasks_on_stderr
from leek.policy import terms_of_settings
from leek.server.options import PoolOptions
from leek.server.supervisor import ServerOptions

MEGABYTE = 1_000_000
LEVELS = {0: logging.WARNING, 1: logging.INFO}


def chosen(flag: Any, setting: Any) -> Any:
    """Return a flag's value, or the setting's where the flag was left out."""
    return setting if flag is None else flag


def server_options(flags: Mapping[str, Any]) -> ServerOptions:
    """Return the values for the server, from flags, where there are any, and settings."""
    return ServerOptions(
        places=places(flags.get("host"), flags.get("port")),
        lease=config.LEASE,
        shutdown_timeout=chosen(flags.get("shutdown_timeout"), config.SHUTDOWN_TIMEOUT),
        drain=bool(flags.get("drain")),
        idle_timeout=flags.get("idle_timeout"),
    )


def pool_options(flags: Mapping[str, Any]) -> PoolOptions:
    """Return the values for the Worker, from flags, where there are any, and settings."""
    megabytes = flags.get("max_memory")
    return PoolOptions(
        workers=chosen(flags.get("workers"), config.WORKERS),
        queues=chosen(flags.get("queues"), config.QUEUES),
        terms=terms_of_settings(),
        max_crashes=config.MAX_CRASHES,
        serializer_mode=config.SERIALIZER,
        park_for=config.PARK_FOR,
        poll_interval=config.POLL_INTERVAL,
        async_limit=config.ASYNC_LIMIT,
        isolate=chosen(flags.get("isolate"), config.ISOLATE),
        max_tasks=flags.get("max_tasks"),
        max_memory=megabytes and megabytes * MEGABYTE,
        aliases=config.ALIASES,
        purge_after=config.PURGE_AFTER,
        schedules=tuple(config.SCHEDULE.values()),
        log_lines=config.LOG_LINES,
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
