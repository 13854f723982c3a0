"""What ought to become of tasks and leases: the rules in plain Python, without a database."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from leek.lifecycle import PushedBack
from leek.models import State
from leek.outcome import Claimed

MAX_CRASHES = 2


class Ending(Enum):
    """The ways in which an attempt ends."""

    SUCCESS = auto()
    RETRY_NOW = auto()
    RETRY_LATER = auto()
    PARK = auto()
    FAILURE = auto()
    CRASH = auto()


class Fence(NamedTuple):
    """What a claim gave: this task, to this owner, under this number."""

    task: int
    owner: int | None
    claim: int


def fence_of(claimed: Claimed) -> Fence:
    """Return the fence of a claimed task."""
    return Fence(claimed.id, claimed.owner, claimed.claim)


def crashes_with_proof(crashes: int, is_suspect: bool) -> int:
    """Return the number of crashes after one in a process that ran nothing else."""
    return crashes + (2 if is_suspect and not crashes else 1)


@dataclass
class Lease:
    """The lease of a server; when it is over, the server may not know it."""

    port: int
    is_over: bool = False


@dataclass
class Task:
    """A pushed task; whether it is due matters while it is deferred.

    A suspect is deferred where another task would be ready, so that it is claimed alone.
    """

    id: int
    queue: str
    priority: int
    state: State
    is_due: bool
    key: str | None = None
    former_key: str | None = None
    owner: int | None = None
    claim: int = 0
    tries: int = 0
    crashes: int = 0
    is_parked: bool = False
    is_suspect: bool = False

    @property
    def fence(self) -> Fence:
        """The claim that it is under, or was last."""
        return Fence(self.id, self.owner, self.claim)

    def is_of(self, queues: list[str] | None) -> bool:
        """Tell whether it is in one of these queues; None stands for all."""
        return queues is None or self.queue in queues

    def give_back(self) -> None:
        """Give it to anybody; a suspect to whoever runs it alone."""
        self.state = State.DEFERRED if self.is_suspect else State.READY
        self.owner = None

    def put_off(self, *, is_due: bool) -> None:
        """Have it wait; who can be put off has killed nobody."""
        self.is_suspect, self.is_due = False, is_due
        self.state, self.owner = State.DEFERRED, None

    def finish(self, state: State) -> None:
        """End it, and free its key."""
        self.former_key, self.key = self.key, None
        self.state, self.is_suspect = state, False

    def crash(self, *, was_alone: bool) -> None:
        """Charge it with the end of its process; a suspect that was alone ended the former, too."""
        if was_alone:
            self.crashes = crashes_with_proof(self.crashes, self.is_suspect)
        else:
            self.crashes += 1
        if self.crashes >= MAX_CRASHES:
            self.finish(State.FAILED)
        else:
            self.give_back()


@dataclass
class Model:
    """All tasks and leases that there are."""

    tasks: dict[int, Task] = field(default_factory=dict)
    leases: dict[int, Lease] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)  # the last one of each server

    # Sets of tasks

    def those(self, condition: Callable[[Task], bool]) -> list[Task]:
        """Return the tasks that meet a condition, in the order of their push."""
        return [task for _, task in sorted(self.tasks.items()) if condition(task)]

    def in_state(self, state: State) -> list[Task]:
        """Return the tasks of a state."""
        return self.those(lambda task: task.state == state)

    def owned(self, server: int) -> list[Task]:
        """Return the tasks that a server has claimed."""
        return [task for task in self.in_state(State.RUNNING) if task.owner == server]

    def due(self, queues: list[str] | None, *, suspects: bool) -> list[Task]:
        """Return the deferred tasks of these queues whose time has come: suspects, or others."""
        deferred = [task for task in self.in_state(State.DEFERRED) if task.is_suspect == suspects]
        return [task for task in deferred if task.is_due and task.is_of(queues)]

    def next_ready(self, limit: int, queues: list[str] | None) -> list[Task]:
        """Return the tasks that a claim takes, in its order."""
        ready = [task for task in self.in_state(State.READY) if task.is_of(queues)]
        return sorted(ready, key=lambda task: (-task.priority, task.id))[:limit]

    def orphaned(self, server: int) -> set[int]:
        """Return who owns claimed tasks and has no lease, other than this server."""
        owners = {task.owner for task in self.in_state(State.RUNNING) if task.owner is not None}
        return owners - set(self.leases) - {server}

    def are_taken(self, keys: Sequence[str | None]) -> bool:
        """Tell whether a push with these unique keys is refused."""
        wanted = [key for key in keys if key is not None]
        taken = {task.key for task in self.tasks.values()}
        return len(wanted) > len(set(wanted)) or not taken.isdisjoint(wanted)

    def is_living(self, fence: Fence) -> bool:
        """Tell whether a claim holds."""
        task = self.tasks.get(fence.task)
        return task is not None and task.state == State.RUNNING and task.fence == fence

    # Claim and settle

    def fall_due(self, ids: Collection[int]) -> None:
        """Let the time come that these tasks wait for, if they do."""
        for task in self.in_state(State.DEFERRED):
            task.is_due |= task.id in ids

    def next_number(self, server: int) -> int:
        """Return a claim number that this server has not used."""
        self.numbers[server] = self.numbers.get(server, 0) + 1
        return self.numbers[server]

    def claim(self, server: int, number: int, task: Task) -> None:
        """Give a task to a server."""
        task.state, task.owner, task.claim = State.RUNNING, server, number

    def settle(self, claimed: Claimed, ending: Ending) -> bool | None:
        """Record how an attempt ended; return whether that is accepted.

        None: it changes nothing, but the row does not tell whether it is late or comes again.
        """
        if not self.is_living(fence_of(claimed)):
            return self._is_settled(claimed, ending)
        task = self.tasks[claimed.id]
        task.tries += ending not in (Ending.PARK, Ending.CRASH)
        if ending in (Ending.PARK, Ending.RETRY_NOW, Ending.RETRY_LATER):
            task.is_parked = ending is Ending.PARK
        match ending:
            case Ending.SUCCESS:
                task.finish(State.SUCCESSFUL)
            case Ending.FAILURE:
                task.finish(State.FAILED)
            case Ending.CRASH:
                task.crash(was_alone=True)
            case _:
                task.put_off(is_due=ending is Ending.RETRY_NOW)
        return True

    def _is_settled(self, claimed: Claimed, ending: Ending) -> bool | None:
        """Tell whether just this is stored: it comes again if the answer to a commit got lost."""
        crashes = crashes_with_proof(claimed.crashes, claimed.suspect)
        is_last = ending is Ending.CRASH and crashes >= MAX_CRASHES
        if ending is not Ending.SUCCESS and ending is not Ending.FAILURE and not is_last:
            return None
        final = State.SUCCESSFUL if ending is Ending.SUCCESS else State.FAILED
        task = self.tasks.get(claimed.id)
        return task is not None and (task.fence, task.state) == (fence_of(claimed), final)

    # Give back

    def release(self, fences: Iterable[Fence]) -> int:
        """Give back what is under these claims; return how many."""
        living = [fence for fence in fences if self.is_living(fence)]
        for fence in living:
            self.tasks[fence.task].give_back()
        return len(living)

    def release_claim(self, server: int, number: int) -> int:
        """Give back all that one claim took; return how many."""
        return self.release([task.fence for task in self.owned(server) if task.claim == number])

    def release_all(self, server: int) -> int:
        """Give back what a server has claimed; return how many."""
        return self.release([task.fence for task in self.owned(server)])

    # Leases

    def register(self, server: int, port: int) -> None:
        """Give a server a lease."""
        self.leases[server] = Lease(port)

    def rescue(self, server: int, was_running: Collection[int] | None) -> tuple[int, list[int]]:
        """End a lease; return how many tasks were given back, and which ones failed.

        Where nobody knows what was running, all are suspects from now on.
        """
        del self.leases[server]
        owned = self.owned(server)
        for task in owned:
            if task.is_suspect if was_running is None else task.id in was_running:
                task.crash(was_alone=False)
            else:
                task.is_suspect |= was_running is None
                task.give_back()
        lost = [task.id for task in owned if task.state == State.FAILED]
        return len(owned) - len(lost), lost

    # Ends by order

    def cancel(self, task_id: int) -> bool:
        """Fail a task that waits; return whether it did."""
        task = self.tasks.get(task_id)
        if task is None or task.state not in (State.READY, State.DEFERRED):
            return False
        task.finish(State.FAILED)
        return True

    # Finished tasks

    def retry_failed(self, ids: Collection[int]) -> PushedBack:
        """Make failed tasks ready, as if they were new; leave those whose key another one has."""
        pushed, left = 0, []
        for task in self.in_state(State.FAILED):
            if task.id not in ids:
                continue
            if self.are_taken([task.former_key]):
                left.append(task.id)
                continue
            pushed += 1
            task.give_back()
            task.key = task.former_key
            task.tries = task.crashes = 0
            task.is_parked, task.is_due = False, True
        return PushedBack(pushed, tuple(left))

    def purge(self, ids: Collection[int]) -> int:
        """Forget finished tasks; return how many."""
        finished = self.in_state(State.SUCCESSFUL) + self.in_state(State.FAILED)
        purged = [task for task in finished if task.id in ids]
        for task in purged:
            del self.tasks[task.id]
        return len(purged)
