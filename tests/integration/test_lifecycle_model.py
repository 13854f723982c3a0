"""leek's moves and the model's agree, whatever is done in whatever order."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from leek import lifecycle
from leek.models import QueuedTasksQuerySet
from tests.integration.lifecycle_model.machine import FenceViolated, Queue

pytestmark = pytest.mark.django_db(transaction=True)

SETTINGS = settings(
    max_examples=50,
    stateful_step_count=40,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


def test_leek_keeps_the_rules_of_claims_leases_and_outcomes() -> None:
    run_state_machine_as_test(Queue, settings=SETTINGS)


def test_the_model_sees_when_a_fence_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unfenced(server_id: int | None, number: int) -> QueuedTasksQuerySet:
        return lifecycle._tasks().running()

    monkeypatch.setattr(lifecycle, "_claimed", unfenced)
    first_find = settings(
        SETTINGS,
        max_examples=1000,
        derandomize=True,
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    with pytest.raises(FenceViolated):
        run_state_machine_as_test(Queue, settings=first_find)
