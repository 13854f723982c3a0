"""What the site does to the queue: it pushes, retries and purges; and time passes."""

from collections.abc import Callable

import pytest
from django.db import IntegrityError, transaction
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    initialize,
    multiple,
    precondition,
    rule,
)

from leek import lifecycle
from leek.database import after
from leek.models import QueuedTasks, State, queue_database
from tests.integration.lifecycle_model.choices import (
    AGO,
    Push,
    chosen_queues,
    limits,
    pushes,
)
from tests.integration.lifecycle_model.comparison import Compared


def has(*states: State) -> Callable[["Site"], bool]:
    """Return a condition: there are tasks in one of these states."""
    return lambda site: any(map(site.model.in_state, states))


class Site(Compared):
    """Tasks as their pushers and operators know them."""

    tasks: Bundle[int] = Bundle("tasks")
    some_tasks = st.none() | st.lists(tasks, max_size=4, unique=True)  # None: all there are

    @initialize(target=tasks)
    def push_the_first(self) -> MultipleResults[int]:
        """Store some tasks to begin with."""
        return multiple(*self._push([Push()] * 3))

    @rule(target=tasks, wanted=st.lists(pushes, min_size=1, max_size=4))
    def push(self, wanted: list[Push]) -> MultipleResults[int]:
        """Store all of them, or none if a key is taken."""
        return multiple(*self._push(wanted))

    def _push(self, wanted: list[Push]) -> list[int]:
        tasks = [push.attributes() for push in wanted]
        if self.model.are_taken([push.key for push in wanted]):
            with pytest.raises(IntegrityError), transaction.atomic(using=queue_database()):
                lifecycle.push(tasks)
            return []
        ids = [row.pk for row in lifecycle.push(tasks)]
        assert ids == sorted(ids)
        for push, task_id in zip(wanted, ids, strict=True):
            self.model.tasks[task_id] = push.task(task_id)
        return ids

    @precondition(has(State.DEFERRED))
    @rule(chosen=some_tasks, limit=limits, queues=chosen_queues)
    def promote(self, chosen: list[int] | None, limit: int, queues: list[str] | None) -> None:
        """Let the time of some tasks come; then make due ones ready: any, up to the limit."""
        ids = self._ids(chosen)
        QueuedTasks.objects.filter(pk__in=ids, state=State.DEFERRED).update(run_after=after(AGO))
        self.model.fall_due(ids)
        due = self.model.due(queues, suspects=False)
        assert lifecycle.promote(queues, limit) == min(limit, len(due))
        ready = set(QueuedTasks.objects.ready().values_list("pk", flat=True))
        for task in due:
            if task.id in ready:
                task.state = State.READY

    @rule(task=tasks)
    def cancel(self, task: int) -> None:
        """Fail a task if it waits."""
        assert bool(lifecycle.cancel(task)) == self.model.cancel(task)

    @precondition(has(State.FAILED))
    @rule(chosen=some_tasks)
    def retry_failed(self, chosen: list[int] | None) -> None:
        """Push the failed ones among these back."""
        ids = self._ids(chosen)
        assert lifecycle.retry_failed(ids) == self.model.retry_failed(ids)

    @precondition(has(State.SUCCESSFUL, State.FAILED))
    @rule(chosen=some_tasks)
    def purge(self, chosen: list[int] | None) -> None:
        """Delete the finished ones among these."""
        if ids := self._ids(chosen):
            assert lifecycle.purge(ids) == self.model.purge(ids)

    def _ids(self, chosen: list[int] | None) -> list[int]:
        return list(self.model.tasks) if chosen is None else chosen
