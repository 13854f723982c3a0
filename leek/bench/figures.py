"""What is measured, and how much of it."""

from dataclasses import dataclass

BLOCKS = 5  # in which commits, rows and pushes take turns
ROUNDS = 3  # of all that is done in bulk


@dataclass(frozen=True)
class Plan:
    """How many tasks are pushed and drained in each round, and how many pushed one by one."""

    tasks: int = 10_000
    pushes: int = 500

    @property
    def block(self) -> int:
        """How many are pushed in a block."""
        return -(-self.pushes // BLOCKS)

    @property
    def steps(self) -> int:
        """How many things are done in all: the length of the progress bar."""
        return BLOCKS * self.block * 4 + ROUNDS * self.tasks * 3 + self.pushes


@dataclass(frozen=True)
class Figures:
    """Rates are per second, medians of blocks or rounds; latencies are in milliseconds.

    `push` is what it costs to push a task and have a server hear of it, beside `create` of the same
    row; `push_at_work` has the Worker run the tasks meanwhile, on the same database and processor.
    `drain` counts from the commit of the push until the outcome of the last task is stored;
    latencies from the call of a push to the start of its task.
    """

    versions: str
    tasks: int
    pushes: int
    commit: float
    create: float
    push: float
    push_at_work: float
    bulk_create: float
    push_many: float
    drain: float
    latency_p50: float
    latency_p99: float

    @property
    def push_per_create(self) -> float:
        """The rate of pushes beside that of rows created one by one."""
        return self.push / self.create

    @property
    def push_at_work_per_create(self) -> float:
        """The rate of pushes while their tasks are run, beside that of rows created."""
        return self.push_at_work / self.create

    @property
    def push_many_per_bulk_create(self) -> float:
        """The rate of pushes in bulk beside that of rows created in bulk."""
        return self.push_many / self.bulk_create

    @property
    def create_per_commit(self) -> float:
        """The rate of rows created one by one beside that of bare commits."""
        return self.create / self.commit
