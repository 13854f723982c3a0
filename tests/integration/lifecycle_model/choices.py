"""What the steps choose from: tasks to push, ways in which attempts end."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st

from leek.models import State
from leek.outcome import Claimed, Crash, ErrorReport, Failure, Outcome, Retry, Success
from tests.integration.lifecycle_model.model import MAX_CRASHES, Ending, Task

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
    Ending.CRASH: lambda claimed: Crash(claimed, NOON, NOON, "died", MAX_CRASHES, was_alone=True),
}


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

    def attributes(self) -> dict[str, Any]:
        """Return what is stored of it."""
        due_in = LATER if self.is_deferred else AGO
        return {
            "queue": self.queue,
            "priority": self.priority,
            "state": self.state,
            "run_after": datetime.now(UTC) + timedelta(seconds=due_in),
            "pushed_at": NOON,
            "unique_key": self.key,
        }

    def task(self, task_id: int) -> Task:
        """Return the model's task."""
        is_due = not self.is_deferred
        return Task(task_id, self.queue, self.priority, self.state, is_due, key=self.key)


pushes = st.builds(
    Push,
    st.sampled_from(QUEUES),
    st.integers(-1, 1),
    st.booleans(),
    st.sampled_from([None, None, "a", "b"]),
)
endings = st.sampled_from(Ending)
limits = st.integers(1, 4)
chosen_queues = st.sampled_from([None, None, None, *([name] for name in QUEUES)])
