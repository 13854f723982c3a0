"""Does the same to leek and to the model, in any order, and compares the two after each step."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from django.db import IntegrityError, transaction
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from leek import agenda, leases, lifecycle
from leek.database import after
from leek.models import FailedTasks, QueuedTasks, Servers, State, SuccessTasks, queue_database
from leek.outcome import Claimed, ErrorReport, Failure, Outcome, Retry, Success
from tests.integration.lifecycle_model.model import MAX_CRASHES, Ending, Model, Task, fence_of

QUEUES = ["default", "mail"]
AGO, LATER = -60.0, 3600.0  # seconds: so far off that no slow machine makes a difference
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ERROR = ErrorReport("ValueError", "as asked", "Traceback ...")
OUTCOMES: dict[Ending, Callable[[Claimed], Outcome]] = {
    Ending.SUCCESS: lambda claimed: Success(claimed, NOON, NOON, None),
    Ending.RETRY_NOW: lambda claimed: Retry(claimed, NOON, NOON, ERROR, AGO),
    Ending.RETRY_LATER: lambda claimed: Retry(claimed, NOON, NOON, ERROR, LATER),
    Ending.PARK: lambda claimed: Retry(claimed, NOON, NOON, ERROR, LATER, spends_try=False),
    Ending.FAILURE: lambda claimed: Failure(claimed, NOON, NOON, ERROR),
}


class FenceViolated(AssertionError):
    """A claim that had ended has moved its task all the same."""


class Push(NamedTuple):
    """What a task is pushed with."""

    queue: str = "default"
    priority: int = 0
    is_deferred: bool = False
    key: str | None = None

    @property
    def state(self) -> State:
        """The state that the task begins in."""
        return State.DEFERRED if self.is_deferred else State.READY

    def row(self) -> QueuedTasks:
        """Return the row to store."""
        return QueuedTasks(
            queue=self.queue,
            priority=self.priority,
            state=self.state,
            run_after=datetime.now(UTC) + timedelta(seconds=LATER * self.is_deferred),
            pushed_at=NOON,
            unique_key=self.key,
        )

    def task(self, task_id: int) -> Task:
        """Return the model's task."""
        return Task(task_id, self.queue, self.priority, self.state, key=self.key)


pushes = st.builds(
    Push,
    st.sampled_from(QUEUES),
    st.integers(-1, 1),
    st.booleans(),
    st.sampled_from([None, None, "a", "b"]),
)
endings = st.sampled_from(Ending)
limits = st.integers(1, 4)
chosen_queues = st.sampled_from([None, None, *([name] for name in QUEUES)])


class Queue(RuleBasedStateMachine):
    """Servers on one queue: some are slow, some are dead, and some do not know that they are."""

    tasks: Bundle[int] = Bundle("tasks")
    servers: Bundle[int] = Bundle("servers")
    claims: Bundle[Claimed] = Bundle("claims")
    some_tasks = st.lists(tasks, max_size=4, unique=True)

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        alias = queue_database()
        for table in (QueuedTasks, SuccessTasks, FailedTasks, Servers):
            table.objects.using(alias)._raw_delete(alias)

    # Push

    @initialize(target=tasks)
    def push_the_first(self) -> MultipleResults[int]:
        """Store a task, so that there is one to choose from."""
        return multiple(*self._push([Push()]))

    @rule(target=tasks, wanted=st.lists(pushes, min_size=1, max_size=4))
    def push(self, wanted: list[Push]) -> MultipleResults[int]:
        """Store all of them, or none if a key is taken."""
        return multiple(*self._push(wanted))

    def _push(self, wanted: list[Push]) -> list[int]:
        rows = [push.row() for push in wanted]
        if self.model.are_taken([push.key for push in wanted]):
            with pytest.raises(IntegrityError), transaction.atomic(using=queue_database()):
                self._store(rows)
            return []
        ids = [row.pk for row in self._store(rows)]
        assert ids == sorted(ids)
        for push, task_id in zip(wanted, ids, strict=True):
            self.model.tasks[task_id] = push.task(task_id)
        return ids

    def _store(self, rows: list[QueuedTasks]) -> list[QueuedTasks]:
        return lifecycle.push_many(rows) if len(rows) > 1 else [lifecycle.push(rows[0])]

    @rule(task=tasks)
    def fall_due(self, task: int) -> None:
        """Let the time come that a deferred task waits for."""
        QueuedTasks.objects.filter(pk=task, state=State.DEFERRED).update(run_after=after(AGO))
        if task in self.model.tasks:
            self.model.tasks[task].is_due = True

    @rule(limit=limits, queues=chosen_queues)
    def promote(self, limit: int, queues: list[str] | None) -> None:
        """Make due tasks ready: any of them, up to the limit."""
        due = self.model.due(queues)
        assert lifecycle.promote(queues, limit) == min(limit, len(due))
        ready = set(QueuedTasks.objects.ready().values_list("pk", flat=True))
        for task in due:
            if task.id in ready:
                task.state = State.READY

    # Claim and settle

    @rule(target=claims, server=servers, limit=limits, queues=chosen_queues)
    def claim(self, server: int, limit: int, queues: list[str] | None) -> MultipleResults[Claimed]:
        """Take the most urgent tasks; a server may do so that does not know that it is dead."""
        expected = self.model.next_ready(limit, queues)
        number = self.model.next_number(server)
        claimed = lifecycle.claim(server, number, limit, queues)
        assert [task.id for task in claimed] == [task.id for task in expected]
        assert not self.model.given & {fence_of(task) for task in claimed}
        self.model.claim(server, number, expected)
        for task, known in zip(claimed, expected, strict=True):
            assert fence_of(task) == known.fence
            assert (task.tries, task.crashes) == (known.tries, known.crashes)
        return multiple(*claimed)

    @rule(claimed=claims, ending=endings)
    def settle(self, claimed: Claimed, ending: Ending) -> None:
        """Record the outcome of one claim, which may have ended long ago."""
        self._settle([(claimed, ending)])

    @rule(first=st.tuples(claims, endings), more=st.lists(st.tuples(claims, endings), max_size=4))
    def settle_together(
        self, first: tuple[Claimed, Ending], more: list[tuple[Claimed, Ending]]
    ) -> None:
        """Record outcomes in one transaction; some of their claims may have ended."""
        of_each_claim = {fence_of(claimed): (claimed, ending) for claimed, ending in [first, *more]}
        self._settle(list(of_each_claim.values()))

    def _settle(self, ended: list[tuple[Claimed, Ending]]) -> None:
        outcomes = [OUTCOMES[ending](claimed) for claimed, ending in ended]
        refused = lifecycle.settle(outcomes)
        expected = [
            outcome
            for outcome, (claimed, ending) in zip(outcomes, ended, strict=True)
            if not self.model.settle(fence_of(claimed), ending)
        ]
        if accepted := [outcome for outcome in expected if outcome not in refused]:
            raise FenceViolated(f"accepted from a claim that had ended: {accepted}")
        assert refused == expected

    # Give back

    @rule(first=claims, more=st.lists(claims, max_size=3))
    def release(self, first: Claimed, more: list[Claimed]) -> None:
        """Give back what is still under these claims."""
        claimed = list({fence_of(task): task for task in [first, *more]}.values())
        self._compare(lifecycle.release(claimed), self.model.release(map(fence_of, claimed)))

    @rule(claimed=claims)
    def release_claim(self, claimed: Claimed) -> None:
        """Give back all that came with a claim."""
        assert claimed.owner is not None
        given_back = lifecycle.release_claim(claimed.owner, claimed.claim)
        self._compare(given_back, self.model.release_claim(claimed.owner, claimed.claim))

    @rule(server=servers)
    def release_all(self, server: int) -> None:
        """Give back what a server has claimed."""
        self._compare(lifecycle.release_all(server), self.model.release_all(server))

    def _compare(self, given_back: int, expected: int) -> None:
        if given_back > expected:
            raise FenceViolated(f"{given_back} tasks were given back, not {expected}")
        assert given_back == expected

    # Leases

    @initialize(target=servers)
    def start_the_first(self) -> int:
        """Register a server, so that there is one to choose from."""
        return self._start(1, [])

    @rule(target=servers, port=st.integers(1, 2), was_running=some_tasks)
    def start(self, port: int, was_running: list[int]) -> int:
        """Register a server, and rescue what was left by the one that had its port."""
        return self._start(port, was_running)

    def _start(self, port: int, was_running: list[int]) -> int:
        server = leases.register(
            address="127.0.0.1", port=port, workers=1, queues=None, seconds=LATER
        )
        found = {dead.pk for dead in leases.predecessors(server)}
        assert found == {pk for pk, lease in self.model.leases.items() if lease.port == port}
        for dead in found:
            self._rescue(dead, was_running, even_if_renewed=True)
        self.model.register(server.pk, port)
        return server.pk

    @rule(server=servers)
    def let_the_lease_end(self, server: int) -> None:
        """Let a server miss its renewals, if it has a lease."""
        Servers.objects.filter(pk=server).update(expires_at=after(AGO))
        if lease := self.model.leases.get(server):
            lease.is_over = True

    @rule(server=servers)
    def renew(self, server: int) -> None:
        """Renew a lease that is there, even if it is over."""
        lease = self.model.leases.get(server)
        assert leases.renew(server, LATER) == (lease is not None)
        if lease:
            lease.is_over = False

    @rule(dead=servers, was_running=some_tasks)
    def rescue(self, dead: int, was_running: list[int]) -> None:
        """Rescue what a server left, unless it has renewed its lease, or was rescued before."""
        self._rescue(dead, was_running, even_if_renewed=False)

    def _rescue(self, dead: int, was_running: list[int], *, even_if_renewed: bool) -> None:
        row = Servers(pk=dead)
        rescued = lifecycle.rescue(row, was_running, MAX_CRASHES, even_if_renewed=even_if_renewed)
        lease = self.model.leases.get(dead)
        if lease is None or not (lease.is_over or even_if_renewed):
            assert rescued is None
        else:
            assert rescued == self.model.rescue(dead, was_running)

    @rule(server=servers)
    def rescue_the_orphaned(self, server: int) -> None:
        """Give back what is claimed by a server without a lease."""
        for owner in agenda.orphaned(server):
            self._compare(lifecycle.release_all(owner), self.model.release_all(owner))
        assert not self.model.orphaned(server)

    @rule(server=servers)
    def resign(self, server: int) -> None:
        """End a server in an orderly way."""
        self.release_all(server)
        leases.resign(server)
        self.model.leases.pop(server, None)

    # Finished tasks

    @rule(ids=some_tasks)
    def retry_failed(self, ids: list[int]) -> None:
        """Push the failed ones among these back."""
        assert lifecycle.retry_failed(ids) == self.model.retry_failed(ids)

    @rule(ids=st.lists(tasks, min_size=1, max_size=4, unique=True))
    def purge(self, ids: list[int]) -> None:
        """Delete the finished ones among these."""
        assert lifecycle.purge(ids) == self.model.purge(ids)

    # What holds after each step

    @invariant()
    def each_task_is_where_it_ought_to_be(self) -> None:
        """Nothing is lost, in two places, or changed by who does not own it."""
        columns = ("state", "owner", "claim", "tries", "crashes", "unique_key", "parked_since")
        stored = {
            pk: (*values, parked_since is not None)
            for pk, *values, parked_since in QueuedTasks.objects.values_list("pk", *columns)
        }
        assert stored == {
            task.id: (
                task.state,
                task.owner,
                task.claim,
                task.tries,
                task.crashes,
                task.key,
                task.is_parked,
            )
            for task in self.model.tasks.values()
        }

    @invariant()
    def each_finished_task_has_one_outcome(self) -> None:
        """A success if and only if it succeeded, a failure if and only if it failed."""
        for table, state in ((SuccessTasks, State.SUCCESSFUL), (FailedTasks, State.FAILED)):
            outcomes = set(table.objects.values_list("pk", flat=True))
            assert outcomes == {task.id for task in self.model.in_state(state)}

    @invariant()
    def each_claimed_task_has_a_living_owner_or_is_found(self) -> None:
        """No task is claimed for ever: its owner has a lease, or it is known to be orphaned."""
        assert set(Servers.objects.values_list("pk", flat=True)) == set(self.model.leases)
        assert set(agenda.orphaned(0)) == self.model.orphaned(0)
        over = {pk for pk, lease in self.model.leases.items() if lease.is_over}
        assert {server.pk for server in leases.expired(0)} == over
