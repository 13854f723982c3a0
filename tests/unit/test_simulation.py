"""The simulated fleet: the same each time, and bound by the laws that any queue is bound by."""

from dataclasses import replace

import pytest

from tests.benchmarks.simulation.costs import Batch, Costs
from tests.benchmarks.simulation.fleet import simulate
from tests.benchmarks.simulation.plan import Found, Plan
from tests.benchmarks.simulation.server import ServerOptions, Work

MILLI = 0.001
COSTS = Costs(
    push=Batch(0.2 * MILLI, 0.03 * MILLI),
    claim=Batch(0.4 * MILLI, 0.01 * MILLI),
    settle=Batch(0.5 * MILLI, 0.02 * MILLI),
    look=0.4 * MILLI,
    beat=0.2 * MILLI,
    commit=0.5 * MILLI,
    at_once=4,
    skipped=0.0005 * MILLI,
    call=0.4 * MILLI,
    task=0.07 * MILLI,
    claim_waits=False,
)
WAITING = Work(waiting=0.02)


def drained(servers: int, work: Work = WAITING, **changed: object) -> Found:
    """Return what comes of a backlog of fifty tasks for each server."""
    plan = Plan(COSTS, servers, work, burst=50 * servers, seconds=600.0)
    return simulate(replace(plan, **changed))  # type: ignore[arg-type]


def test_a_run_is_the_same_each_time() -> None:
    plan = Plan(COSTS, 3, WAITING, rate=100.0, seconds=3.0)
    assert simulate(plan) == simulate(plan)
    assert simulate(plan) != simulate(replace(plan, seed=1))


@pytest.mark.parametrize("work", [WAITING, Work(computing=0.005), Work()])
@pytest.mark.parametrize("servers", [1, 2, 7])
def test_each_task_of_a_backlog_is_stored(servers: int, work: Work) -> None:
    found = drained(servers, work)
    assert found.pushed == found.stored == 50 * servers


@pytest.mark.parametrize("rate", [20.0, 200.0, 2000.0])
def test_no_task_is_lost_however_many_come(rate: float) -> None:
    found = simulate(Plan(COSTS, 4, WAITING, rate=rate, seconds=3.0))
    assert found.pushed == found.pushing + found.stored + found.waiting + found.claimed
    assert found.stored > 0


@pytest.mark.parametrize("servers", [1, 2, 4])
def test_servers_run_no_more_than_their_workers_can(servers: int) -> None:
    assert 0.9 * servers / 0.02 < drained(servers).throughput <= servers / 0.02


@pytest.mark.parametrize("servers", [1, 4])
def test_processors_and_log_are_used_for_no_more_time_than_there_is(servers: int) -> None:
    slow = replace(COSTS, commit=0.02, at_once=1)
    found = simulate(Plan(slow, servers, Work(), rate=200.0, seconds=5.0))
    assert 0.9 < found.log <= 1.0
    assert found.throughput < 1 / slow.commit * 1000


def test_servers_on_one_host_compute_no_faster_than_its_processors() -> None:
    found = drained(4, Work(computing=0.02), one_host=True, processors=2)
    assert 0.85 * 2 / 0.02 < found.throughput <= 2 / 0.02


def test_tasks_under_way_are_their_rate_times_their_stay() -> None:
    found = simulate(Plan(COSTS, 8, WAITING, rate=200.0, seconds=30.0))
    expected = found.pushed / found.seconds * found.stay
    assert found.unfinished == pytest.approx(expected, rel=0.01)


def test_waits_grow_with_the_load() -> None:
    plan = Plan(COSTS, 4, WAITING, rate=50.0, seconds=10.0)
    light, heavy = simulate(plan), simulate(replace(plan, rate=190.0))
    assert light.wait_p99 < heavy.wait_p99
    assert light.wait_p50 < 0.01


def test_an_idle_fleet_costs_looks_and_heartbeats_only() -> None:
    found = simulate(Plan(COSTS, 100, WAITING, seconds=60.0))
    assert {what for what, share in found.used.items() if share} == {"look", "beat"}
    looks = found.used["look"] * 2 * found.seconds / COSTS.look
    assert looks == pytest.approx(100 * 60, rel=0.05)


def test_a_settlement_is_shared_by_what_ended_during_the_one_before() -> None:
    slow = replace(COSTS, commit=0.05)
    assert (
        drained(1, Work(waiting=0.001)).commits
        > drained(1, Work(waiting=0.001), costs=slow).commits
    )


def test_tasks_of_dead_servers_run_again_when_the_lease_is_over() -> None:
    options = ServerOptions(workers=2, lease=6.0)
    plan = Plan(COSTS, 10, Work(waiting=1.0), options, rate=15.0, seconds=40.0, killed=3)
    again = simulate(plan).again_after
    assert again
    assert 6.0 * 2 / 3 <= min(again) <= max(again) < 6.0 + 1.0 + 1.0


def test_groups_by_queue_run_what_is_theirs() -> None:
    found = drained(4, groups=2)
    assert found.stored == found.pushed


def test_costs_are_read_from_what_was_measured() -> None:
    figures = {
        "cost_look_100": 0.4,
        "cost_beat_100": 0.9,
        "cost_commit": 0.5,
        "cost_commits": 6000.0,
        "cost_skipped": 0.001,
        "cost_python": 0.5,
        "fleet_noop_1": 10_000.0,
    }
    for what in ("push", "claim", "settle"):
        figures |= {f"cost_{what}_{size}": 2.0 + size / 100 for size in (1, 1000)}
    costs = Costs.measured(figures, "postgresql")
    assert costs.settle.seconds(100) == pytest.approx(0.0025)
    assert costs.claim.seconds(100) == pytest.approx(0.003)  # its commit waits for no disk
    assert (costs.at_once, costs.claim_waits) == (3, False)
    assert Costs.measured(figures, "mysql").claim.seconds(100) == pytest.approx(0.0025)
    assert costs.times(2.0).settle.seconds(100) == pytest.approx(0.005)
