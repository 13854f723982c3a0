"""A real server at the benchmark's tables, in a process of its own."""

import logging
from collections.abc import Callable

from leek.bench.tables import our_names
from leek.conf import config
from leek.database import has_table
from leek.models import Servers, queue_database
from leek.places import Place
from leek.policy import Terms
from leek.retry import RetryPolicy
from leek.server.options import PoolOptions
from leek.server.supervisor import ServerOptions, Supervisor

HOST = "127.0.0.1"


def serve(tell: Callable[[int | str], None]) -> None:
    """Run tasks until a signal; tell the port when that begins, or else what is wrong."""
    logging.getLogger("leek").setLevel(logging.WARNING)
    with our_names():
        if not has_table(queue_database(), Servers._meta.db_table):
            tell("no other process sees this database as it is here")
            return
        server = ServerOptions([Place(HOST, 0)], lease=config.LEASE, shutdown_timeout=1)
        Supervisor(server, _pool_options()).run(lambda _, port: tell(port), ends_process=True)


def _pool_options() -> PoolOptions:
    return PoolOptions(
        workers=1,
        queues=None,
        terms=Terms(RetryPolicy(config.MAX_RETRIES, config.RETRY_DELAY, config.RETRY_DELAY_MAX)),
        max_crashes=config.MAX_CRASHES,
        serializer_mode=config.SERIALIZER,
        park_for=config.PARK_FOR,
        poll_interval=config.POLL_INTERVAL,
    )
