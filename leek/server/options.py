"""How the Worker of a server works, as values."""

from dataclasses import dataclass, field

from leek.policy import Terms
from leek.queues import Queues
from leek.schedule import Schedule


@dataclass(frozen=True)
class PoolOptions:
    """How a pool works; times are in seconds, `max_memory` in bytes.

    Up to `async_limit` async tasks are run besides what the workers do. With `isolate` each Worker
    has a child process for all its tasks; `max_tasks` and `max_memory` are then the child's, which
    is replaced. Of what each attempt logs `log_lines` are stored.
    """

    workers: int
    queues: Queues
    terms: Terms
    max_crashes: int
    serializer_mode: str
    park_for: float
    poll_interval: float
    async_limit: int = 100
    isolate: bool = False
    max_tasks: int | None = None
    max_memory: int | None = None
    aliases: dict[str, str] = field(default_factory=dict)
    purge_after: float | None = None
    schedules: tuple[Schedule, ...] = ()
    log_lines: int = 0
