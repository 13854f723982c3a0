"""What becomes of tasks whose broker, relay or worker is lost: each has exactly one outcome."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from leek.api import push_many, push_task_to_queue, using
from leek.exceptions import TaskFailed
from leek.models import FailedTasks, QueuedTasks, State, SuccessTasks
from tests.brokers.conftest import StartWorker
from tests.brokers.kinds import Broker
from tests.conftest import StartServer
from tests.site import tasks
from tests.site.models import Runs
from tests.support import (
    GIVE_UP_AFTER,
    free_port,
    wait_for_connections,
    wait_for_count,
    wait_until,
)

pytestmark = pytest.mark.any_version

MANY = 5000  # of each kind
SOON = {"LEEK_RELAY_TIMEOUT": "5"}
SHORT_LEASE = {"LEEK_LEASE": "1"}


def succeeded() -> int:
    """Return how many tasks have succeeded."""
    return SuccessTasks.objects.count()


def wait_for_successes(number: int) -> None:
    """Wait until so many tasks have succeeded, as long as there are ever more of them."""
    wait_for_count(succeeded, number, "successes")


def push_recorded(kind: str, number: int, *, atomic: bool = False) -> list[QueuedTasks]:
    """Push tasks that count their runs, by tags of this kind."""
    tags = [f"{kind} {each}" for each in range(number)]
    return using(atomic=atomic).push_many([(tasks.record, (tag,), {}) for tag in tags])


def runs_of(kind: str) -> Counter[str]:
    """Return how often each task of a kind was run."""
    return Counter(Runs.objects.filter(tag__startswith=kind).values_list("tag", flat=True))


def assert_all_have_one_outcome(number: int) -> None:
    """Fail unless so many tasks were pushed, and all of them have succeeded once."""
    assert succeeded() == number
    assert SuccessTasks.objects.values("task_id").distinct().count() == number
    assert QueuedTasks.objects.filter(state=State.SUCCESSFUL).count() == number
    assert QueuedTasks.objects.count() == number
    assert not FailedTasks.objects.exists()


def process_at(gate: Path) -> int:
    """Return the process that runs the task at a gate, as soon as it does."""
    begun = Path(f"{gate}.begun")
    wait_until(lambda: begun.exists() and begun.read_text(), "the start of the task")
    return int(begun.read_text())


@pytest.mark.timeout(1800)
@pytest.mark.logs_errors
def test_a_broker_that_loses_all_messages_of_ten_thousand_tasks_loses_no_task(
    broker: Broker, start_relay: StartServer, start_worker: StartWorker
) -> None:
    relay = start_relay(**SOON)
    workers = [start_worker(processes=2, **SOON)]

    def supervised() -> int:
        if workers[-1].ended:  # Celery's client of Redis may end it when the connection is lost
            workers.append(start_worker(processes=2, **SOON))
        return succeeded()

    push_recorded("plain", MANY)
    push_recorded("atomic", MANY, atomic=True)
    for part in (1, 2):
        wait_for_count(supervised, part * MANY // 2, "successes")
        broker.kill()
        assert succeeded() < 2 * MANY
        broker.empty()
        broker.start()
    wait_for_count(supervised, 2 * MANY, "successes")
    assert_all_have_one_outcome(2 * MANY)
    assert len(runs_of("plain")) == MANY
    assert runs_of("atomic") == {f"atomic {each}": 1 for each in range(MANY)}
    assert not relay.ended


@pytest.mark.logs_errors
def test_a_push_takes_place_while_the_broker_is_away(
    broker: Broker, start_server: StartServer
) -> None:
    start_server(**SOON)
    broker.kill()
    rows = push_recorded("meanwhile", 20)
    broker.start()
    assert [row.wait(60) for row in rows] == [None] * 20
    assert_all_have_one_outcome(20)


@pytest.mark.logs_errors
def test_a_queue_that_the_broker_refuses_holds_up_no_other(
    broker: Broker, start_relay: StartServer, start_worker: StartWorker
) -> None:
    broker.refuse("refused")
    relay = start_relay()
    start_worker()
    using(queue="refused").push_many([(tasks.noop, (), {})] * 5)
    wait_until(lambda: 'no messages for the queue "refused"' in relay.log, "a word of it")
    rows = push_recorded("task", 20)
    assert [row.wait(60) for row in rows] == [None] * 20
    assert relay.log.count('no messages for the queue "refused"') == 1


@pytest.mark.logs_errors
def test_a_child_that_is_killed_costs_the_task_that_it_ran_a_crash(
    start_relay: StartServer, start_worker: StartWorker, tmp_path: Path
) -> None:
    start_relay()
    start_worker(processes=2)
    row = push_task_to_queue(tasks.wait_for, str(tmp_path / "gate"), "done")
    process = process_at(tmp_path / "gate")
    others = push_recorded("other", 20)
    os.kill(process, signal.SIGKILL)
    (tmp_path / "gate").touch()
    assert row.wait(60) is None
    assert [other.wait(60) for other in others] == [None] * 20
    assert (row.crashes, row.tries) == (1, 1)
    assert {other.crashes for other in others} == {0}
    assert set(runs_of("").values()) == {1}


@pytest.mark.logs_errors
def test_a_child_that_is_asked_to_end_gives_back_what_it_runs_at_no_cost(
    start_relay: StartServer, start_worker: StartWorker, tmp_path: Path
) -> None:
    start_relay()
    start_worker()
    row = using(max_retries=1).push(tasks.wait_for, str(tmp_path / "gate"), "done")
    process = process_at(tmp_path / "gate")
    os.kill(process, signal.SIGTERM)
    wait_until(lambda: not Path(f"/proc/{process}").exists(), "the end of the process")
    (tmp_path / "gate").touch()
    assert row.wait(60) is None
    assert (row.crashes, row.tries) == (0, 1)
    assert set(runs_of("").values()) == {1}


@pytest.mark.logs_errors
def test_a_worker_that_is_asked_to_end_with_its_children_gives_back_what_they_run_at_no_cost(
    start_relay: StartServer, start_worker: StartWorker, tmp_path: Path
) -> None:
    start_relay()
    worker = start_worker()
    row = using(max_retries=1).push(tasks.wait_for, str(tmp_path / "gate"), "done")
    process_at(tmp_path / "gate")
    os.killpg(worker.process.pid, signal.SIGTERM)
    worker.process.wait(GIVE_UP_AFTER)
    (tmp_path / "gate").touch()
    start_worker()
    assert row.wait(60) is None
    assert (row.crashes, row.tries) == (0, 1)
    assert set(runs_of("").values()) == {1}


def test_a_soft_time_limit_of_celerys_costs_no_try(
    start_relay: StartServer, start_worker: StartWorker, tmp_path: Path
) -> None:
    start_relay()
    start_worker()
    row = using(max_retries=1).push(tasks.wait_for, str(tmp_path / "gate"), "done")
    os.kill(process_at(tmp_path / "gate"), signal.SIGUSR1)  # as Celery does when it is over
    other = push_task_to_queue(tasks.noop)
    (tmp_path / "gate").touch()
    assert (row.wait(60), other.wait(60)) == (None, None)
    assert (row.crashes, row.tries) == (0, 1)


@pytest.mark.logs_errors
def test_a_hard_time_limit_of_celerys_is_a_crash(
    start_relay: StartServer, start_worker: StartWorker, tmp_path: Path
) -> None:
    start_relay(**SOON, LEEK_MAX_CRASHES="1")  # relayed anew where the limit was over before
    start_worker(arguments=["--time-limit=3"], LEEK_MAX_CRASHES="1")
    row = push_task_to_queue(tasks.wait_for, str(tmp_path / "gate"), "done")
    with pytest.raises(TaskFailed, match="WorkerLost"):
        row.wait(60)
    assert (row.crashes, row.tries) == (1, 0)


@pytest.mark.parametrize("app", ["leek.celery", "tests.brokers.own_celery"])
@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_tasks_keep_their_connection(
    start_relay: StartServer, start_worker: StartWorker, app: str, pool: str
) -> None:
    named = {"LEEK_CELERY_APP": f"{app}:app"}
    start_relay(**named)
    start_worker(app=app, pool=pool, **named)
    links = [push_task_to_queue(tasks.count_links).wait(60) for _ in range(5)]
    assert links == [1] * 5


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no number of connections")
@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_processes_keep_few_connections(
    start_relay: StartServer, start_worker: StartWorker, pool: str
) -> None:
    start_relay()
    start_worker(pool=pool)
    wait_for_connections(2)  # of what claims and of what renews the relay's lease
    push_task_to_queue(tasks.record, "once").wait(60)
    wait_for_connections(6)  # of what relays; of a task, of what stores outcomes, and of a lease


@pytest.mark.logs_errors
def test_what_a_killed_worker_ran_runs_in_another_when_its_lease_is_over(
    start_relay: StartServer, start_worker: StartWorker, tmp_path: Path
) -> None:
    start_relay(**SHORT_LEASE, **SOON)
    worker = start_worker(processes=2, **SHORT_LEASE)
    row = push_task_to_queue(tasks.wait_for, str(tmp_path / "gate"), "done")
    process_at(tmp_path / "gate")
    others = push_recorded("other", 20)
    worker.kill()
    (tmp_path / "gate").touch()
    start_worker(processes=2, **SHORT_LEASE)
    assert row.wait(60) is None
    assert [other.wait(60) for other in others] == [None] * 20
    assert_all_have_one_outcome(21)


@pytest.mark.logs_errors
def test_a_relay_that_is_killed_amid_tasks_loses_none(
    start_relay: StartServer, start_worker: StartWorker
) -> None:
    relay = start_relay()
    start_worker(processes=2)
    push_recorded("plain", 300)
    push_recorded("atomic", 300, atomic=True)
    wait_for_successes(100)
    relay.kill()
    start_relay()
    wait_for_successes(600)
    assert_all_have_one_outcome(600)
    assert set(runs_of("plain").values()) == {1}
    assert runs_of("atomic") == {f"atomic {each}": 1 for each in range(300)}


def test_two_relays_and_two_workers_run_nothing_twice(
    start_relay: StartServer, start_worker: StartWorker
) -> None:
    for _ in range(2):
        start_relay("-v0", port=free_port())
        start_worker(processes=2)
    push_recorded("task", 400)
    wait_for_successes(400)
    assert_all_have_one_outcome(400)
    assert set(runs_of("task").values()) == {1}


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_any_pool_of_celery_runs_tasks(
    start_relay: StartServer, start_worker: StartWorker, pool: str
) -> None:
    start_relay()
    start_worker(pool=pool, processes=2)
    sync, slow = push_task_to_queue(tasks.add, 1, 2), push_task_to_queue(tasks.add_slowly, 3, 4)
    push_recorded("task", 100)
    assert (sync.wait(60), slow.wait(60)) == (3, 7)
    wait_for_successes(102)
    assert set(runs_of("task").values()) == {1}


def test_messages_that_were_relayed_anew_are_obeyed_once(
    start_relay: StartServer, start_worker: StartWorker
) -> None:
    relay = start_relay(LEEK_RELAY_TIMEOUT="0.2")
    rows = push_recorded("task", 20)

    relayed_thrice = QueuedTasks.objects.running().filter(claim__gt=2)
    wait_until(relayed_thrice.exists, "the third relay")
    start_worker(processes=2)
    assert [row.wait(60) for row in rows] == [None] * 20
    assert_all_have_one_outcome(20)
    assert set(runs_of("task").values()) == {1}
    assert relay.terminate() == 0


@pytest.mark.parametrize("first", ["server", "worker"])
def test_without_the_setting_what_was_relayed_runs_in_the_server(
    start_relay: StartServer,
    start_plain_server: StartServer,
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
    first: str,
) -> None:
    relay = start_relay()
    push_recorded("task", 200)
    wait_until(QueuedTasks.objects.running().exists, "the relay")
    assert relay.terminate() == 0
    monkeypatch.delenv("LEEK_ENGINE")
    starts: list[Callable[[], object]] = [start_plain_server, start_worker]
    for start in starts if first == "server" else starts[::-1]:
        start()
    wait_for_successes(200)
    assert_all_have_one_outcome(200)
    assert set(runs_of("task").values()) == {1}
    push_many([(tasks.record, ("after",), {})])
    wait_for_successes(201)


def test_a_site_may_have_a_celery_of_its_own(
    start_relay: StartServer, start_worker: StartWorker
) -> None:
    app = "tests.brokers.own_celery"
    start_relay(LEEK_CELERY_APP=f"{app}.app")
    start_worker(app=app, LEEK_CELERY_APP=f"{app}.app")
    assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
