"""The progress of tasks: what is stored, when, and what it must not disturb."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import override_settings

from leek import leases, lifecycle
from leek.api import push_task_to_queue
from leek.models import QueuedTasks, State, Status
from leek.outcome import Claimed, Progress
from leek.server.progress import ProgressKeeper
from leek.server.service import Outage
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import STORES_ALL, wait_until

pytestmark = pytest.mark.any_version

in_every_place = pytest.mark.parametrize(
    "arguments", [(), ("--isolate",)], ids=["threads", "isolate"]
)


def progress_of(row: QueuedTasks) -> tuple[int, int | None] | None:
    """Return how far a task is now."""
    return QueuedTasks.objects.get(pk=row.pk).progress


# A server


@in_every_place
@pytest.mark.parametrize("a_callable", [tasks.advance, tasks.advance_slowly], ids=["sync", "async"])
@pytest.mark.parametrize("values", [(1, 10), (5,)])
def test_a_row_tells_how_far_its_task_is(
    start_server: StartServer,
    tmp_path: Path,
    arguments: tuple[str, ...],
    a_callable: Callable[..., Any],
    values: tuple[int, ...],
) -> None:
    gate = tmp_path / "gate"
    start_server(*arguments)
    row = push_task_to_queue(a_callable, str(gate), *values)
    assert row.progress is None
    wait_until(lambda: progress_of(row), "the progress")
    running = QueuedTasks.objects.get(pk=row.pk)
    assert running.status == Status.RUNNING
    assert running.progress == (values if len(values) == 2 else (*values, None))
    gate.touch()
    row.wait(60)
    wait_until(lambda: progress_of(row) == (100, 100), "the last value")


@in_every_place
def test_progress_is_not_part_of_the_transaction_of_its_task(
    start_server: StartServer, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    gate = tmp_path / "gate"
    start_server(*arguments)
    row = push_task_to_queue(tasks.advance_in_a_transaction, str(gate))
    wait_until(lambda: progress_of(row) == (7, 10), "the progress")
    gate.touch()
    row.wait(60)
    assert progress_of(row) == (7, 10)


@in_every_place
def test_a_retry_starts_without_progress(
    start_server: StartServer, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    gate = tmp_path / "gate"
    start_server(*arguments, LEEK_RETRY_DELAY="0.01")
    row = push_task_to_queue(tasks.advance_and_fail, str(gate))
    wait_until(Path(f"{gate}.begun").exists, "the second attempt")
    assert progress_of(row) is None
    gate.touch()
    row.wait(60)


@pytest.mark.logs_errors
def test_a_task_that_crashed_starts_without_progress(
    start_server: StartServer, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    start_server("--isolate")
    row = push_task_to_queue(tasks.advance_and_die, str(gate))
    wait_until(Path(f"{gate}.begun").exists, "the second attempt")
    assert progress_of(row) is None
    gate.touch()
    row.wait(60)


@in_every_place
def test_a_time_limit_holds_for_a_task_that_tells_progress_all_the_time(
    start_server: StartServer, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    tries = {"LEEK_MAX_RETRIES": "1000", "LEEK_RETRY_DELAY": "0"}
    start_server(*arguments, LEEK_TIMEOUT="0.5", **tries)
    row = push_task_to_queue(tasks.advance_for_ever, str(gate))
    wait_until(Path(f"{gate}.begun").exists, "an attempt that comes to telling progress in time")
    failed = row.failed_attempts.order_by("-attempt")
    before = failed.values_list("attempt", flat=True).first() or 0
    ended = wait_until(failed.filter(attempt__gt=before).first, "its end")
    assert ended.exception_type == "leek.exceptions.TaskTimeout"


@pytest.mark.logs_errors
def test_a_server_stops_although_a_task_tells_progress_all_the_time(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server("--isolate", "--shutdown-timeout", "0.2", **STORES_ALL)
    row = push_task_to_queue(tasks.advance_for_ever, str(tmp_path / "gate"))
    wait_until(lambda: progress_of(row), "the progress")
    assert server.terminate() == 0
    row.refresh_from_db()
    assert (row.state, row.progress) == (State.READY, None)


# EAGER


@pytest.mark.django_db
@pytest.mark.parametrize("a_callable", [tasks.advance, tasks.advance_slowly], ids=["sync", "async"])
def test_an_eager_task_leaves_its_last_value(
    a_callable: Callable[..., Any], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    with override_settings(TASKS_QUEUE={"EAGER": True}):
        row = push_task_to_queue(a_callable, str(gate), 1, 10)
        assert row.progress == (100, 100)
        assert push_task_to_queue(tasks.noop).progress is None


# The fence


@pytest.fixture
def claimed(db: None) -> Claimed:
    """Return a task that a server has claimed."""
    push_task_to_queue(tasks.noop)
    server = leases.register(address="here", port=1, workers=1, queues=None, seconds=60)
    (task,) = lifecycle.claim(server.pk, 1, 1, None)
    return task


def note(task: Claimed, **changes: Any) -> tuple[int, int | None] | None:
    """Note progress of a task, and return what is stored."""
    told = Progress(task.id, task.owner, task.claim, 1, 10)._replace(**changes)
    lifecycle.note_progress([told])
    return QueuedTasks.objects.get(pk=task.id).progress


def test_progress_under_the_claim_is_stored(claimed: Claimed) -> None:
    assert note(claimed) == (1, 10)
    assert note(claimed, done=2, total=None) == (2, None)


@pytest.mark.parametrize("changes", [{"claim": 7}, {"owner": None}, {"owner": 4711}])
def test_progress_under_another_claim_is_refused(claimed: Claimed, changes: dict[str, Any]) -> None:
    assert note(claimed, **changes) is None


def test_progress_of_a_task_that_was_given_back_is_refused_and_forgotten(claimed: Claimed) -> None:
    assert note(claimed) == (1, 10)
    lifecycle.release([claimed])
    assert note(claimed) is None


def test_progress_of_a_task_that_was_postponed_is_forgotten(claimed: Claimed) -> None:
    assert note(claimed) == (1, 10)
    lifecycle.postpone([claimed], 60)
    assert QueuedTasks.objects.get().progress is None


def test_progress_of_a_task_that_is_gone_is_no_error(claimed: Claimed) -> None:
    QueuedTasks.objects.all().delete()
    lifecycle.note_progress([Progress(claimed.id, claimed.owner, claimed.claim, 1, 10)])


# What keeps it


def told(task_id: int, done: int) -> Progress:
    return Progress(task_id, 3, 9, done, None)


class Store:
    """Takes what is to be stored; fails as long as it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[Progress]] = []
        self.fails = False
        self.failed = threading.Event()

    def __call__(self, latest: Sequence[Progress]) -> None:
        """Take it."""
        if self.fails:
            self.failed.set()
            raise OperationalError("away")
        self.batches.append([*latest])

    @property
    def last(self) -> list[Progress]:
        """The last batch."""
        return self.batches[-1] if self.batches else []


@pytest.fixture
def store() -> Store:
    """Return what takes progress."""
    return Store()


@pytest.fixture
def keeper(store: Store) -> Iterator[ProgressKeeper]:
    """Return a keeper that stores at once, and then no more until it is stopped."""
    keeper = ProgressKeeper(Outage(), store, interval=3600)
    yield keeper
    keeper.stop()
    assert keeper.join(60)


def test_there_is_no_thread_before_there_is_progress(keeper: ProgressKeeper) -> None:
    assert keeper.has_ended
    assert "leek-progress" not in {thread.name for thread in threading.enumerate()}


def test_the_first_value_is_stored_at_once_and_of_what_follows_the_latest(
    keeper: ProgressKeeper, store: Store
) -> None:
    keeper.note(told(1, 1))
    wait_until(lambda: store.batches, "the first value")
    for done in range(2, 100):
        keeper.note(told(1, done))
        keeper.note(told(2, done))
    keeper.stop()
    assert keeper.join(60)
    assert store.batches == [[told(1, 1)], [told(1, 99), told(2, 99)]]


def test_what_is_waited_for_is_stored_at_once(keeper: ProgressKeeper, store: Store) -> None:
    keeper.note(told(1, 1))
    wait_until(lambda: store.batches, "the first value")
    keeper.note(told(1, 2))
    keeper.flush()
    assert store.last == [told(1, 2)]


@pytest.mark.logs_errors
def test_what_cannot_be_stored_is_kept_until_there_is_something_newer(
    keeper: ProgressKeeper, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.fails = True
    keeper.note(told(1, 1))
    keeper.note(told(2, 1))
    for _ in range(3):
        store.failed.clear()
        assert store.failed.wait(60)
    keeper.note(told(2, 2))
    store.fails = False
    wait_until(lambda: store.batches, "what was kept")
    keeper.stop()
    assert keeper.join(60)
    assert {each for batch in store.batches for each in batch} >= {told(1, 1), told(2, 2)}
    assert caplog.text.count("The database fails") == 1
    assert caplog.text.count("The database is back") == 1


def test_nothing_is_stored_after_the_stop_when_nothing_was_told(
    keeper: ProgressKeeper, store: Store
) -> None:
    keeper.stop()
    keeper.start_once()
    assert keeper.join(60)
    assert store.batches == []
