"""How the Worker of a server works, as values."""

from collections.abc import Callable
from dataclasses import dataclass, field

from leek.outcome import Progress
from leek.policy import Terms
from leek.queues import Queues
from leek.schedule import Schedule
from leek.server.executor import Executor


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


def executor_of(options: PoolOptions, on_progress: Callable[[Progress], None]) -> Executor:
    """Return what runs the tasks of a pool with these options."""
    return Executor(
        options.terms,
        options.serializer_mode,
        options.park_for,
        max_crashes=options.max_crashes,
        aliases=options.aliases,
        on_progress=on_progress,
        log_lines=options.log_lines,
    )


@dataclass(frozen=True)
class ClaimOptions:
    """For whom is claimed: so many workers, these queues (None: all), so many tasks in all.

    `poll_interval` is for how many seconds at most the dispatcher does not look by itself.
    """

    workers: int
    queues: Queues
    poll_interval: float
    max_tasks: int | None
