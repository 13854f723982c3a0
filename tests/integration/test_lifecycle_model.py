"""leek's moves and the model's agree, whatever is done in whatever order."""

from collections.abc import Iterator

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from leek.lifecycle import sets
from leek.models import QueuedTasksQuerySet
from tests.integration.lifecycle_model.comparison import FenceViolated
from tests.integration.lifecycle_model.machine import Queue

SETTINGS = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),  # the time goes into statements, not into choices
)


@pytest.fixture(autouse=True)
def quick_commits(transactional_db: None) -> Iterator[None]:
    """Have SQLite not wait for the disk, since nobody here pulls the plug."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        ((usual,),) = cursor.execute("PRAGMA synchronous").fetchall()
        cursor.execute("PRAGMA synchronous = OFF")
        yield
        cursor.execute(f"PRAGMA synchronous = {usual}")


@pytest.mark.timeout(900)  # a find is made as short as can be before it is shown
def test_leek_keeps_the_rules_of_claims_leases_and_outcomes() -> None:
    run_state_machine_as_test(Queue, settings=SETTINGS)


def test_the_model_sees_that_a_fence_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def whoever_claimed_them(server_id: int | None, number: int) -> QueuedTasksQuerySet:
        return sets.tasks().running()

    monkeypatch.setattr(sets, "claimed", whoever_claimed_them)
    until_the_first_find = settings(
        SETTINGS,
        max_examples=1000,
        derandomize=True,
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    with pytest.raises(FenceViolated, match=r"had ended: |were given back"):
        run_state_machine_as_test(Queue, settings=until_the_first_find)
