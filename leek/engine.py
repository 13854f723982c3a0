"""What runs the tasks: this server's own Workers, or Celery's."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from leek.conf import config
from leek.server.configured import pool_options, server_options
from leek.server.supervisor import Supervisor

CELERY = "celery"


def supervisor_from(flags: Mapping[str, Any]) -> Supervisor:
    """Return a server made of flags, where there are any, and settings.

    Raise OSError if it cannot listen, and `leek.celery.apps.NoCeleryApp`.
    """
    server, pool = server_options(flags), pool_options(flags)
    if config.ENGINE != CELERY:
        return Supervisor(server, pool)
    from leek.celery.apps import celery_app
    from leek.celery.relay_pool import RelayPool

    relay_pool = partial(RelayPool, app=celery_app(), timeout=config.RELAY_TIMEOUT)
    no_workers = replace(pool, workers=0, async_limit=1, isolate=False, max_tasks=None)
    return Supervisor(server, no_workers, relay_pool)
