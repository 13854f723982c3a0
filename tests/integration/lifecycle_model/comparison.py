"""What has to agree after each step, whatever it was."""

from hypothesis.stateful import RuleBasedStateMachine, invariant

from leek import agenda, leases
from leek.models import FailedTasks, QueuedTasks, Servers, State, SuccessTasks, queue_database
from tests.integration.lifecycle_model.model import Fence, Model

Columns = tuple[object, ...]


class FenceViolated(AssertionError):
    """A claim that had ended has moved its task all the same."""


class Compared(RuleBasedStateMachine):
    """The tables, empty at first, and the model of them."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.given: set[Fence] = set()  # by all claims that there ever were
        alias = queue_database()
        for table in (QueuedTasks, SuccessTasks, FailedTasks, Servers):
            table.objects.using(alias)._raw_delete(alias)

    def check_untouched(self, ids: list[int]) -> None:
        """Raise FenceViolated if one of these tasks is not where it ought to be."""
        stored, expected = _stored(), self._expected()
        if moved := [pk for pk in ids if stored.get(pk) != expected.get(pk)]:
            raise FenceViolated(f"moved from a claim that had ended: {moved}")

    def _expected(self) -> dict[int, Columns]:
        return {
            task.id: (
                *(task.state, task.owner, task.claim, task.tries, task.crashes),
                *(task.is_suspect, task.key, task.is_parked),
            )
            for task in self.model.tasks.values()
        }

    @invariant()
    def each_task_is_where_it_ought_to_be(self) -> None:
        """Nothing is lost, in two places, or changed by who does not own it."""
        assert _stored() == self._expected()

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


def _stored() -> dict[int, Columns]:
    columns = ("state", "owner", "claim", "tries", "crashes", "suspect", "unique_key")
    return {
        pk: (*values, parked_since is not None)
        for pk, *values, parked_since in QueuedTasks.objects.values_list(
            "pk", *columns, "parked_since"
        )
    }
