"""row.cancel(): what waits fails at once, what runs is stopped where that is possible."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connections, transaction

from leek import client, leases, lifecycle
from leek.api import push_many, push_task_to_queue, using
from leek.exceptions import TaskFailed
from leek.models import FailedAttempts, FailedTasks, QueuedTasks, State, Status, queue_database
from leek.signals import task_finished
from tests.conftest import StartServer
from tests.site import tasks
from tests.site.models import Runs
from tests.support import finish, free_port, run, wait_until


def has_begun(gate: Path) -> Callable[[], bool]:
    """Return a condition: the task with this gate runs."""
    return Path(f"{gate}.begun").exists


def assert_cancelled(row: QueuedTasks, how: str = "while it ran") -> None:
    """Assert that a task ends as cancelled, and was the cause of no crash."""
    with pytest.raises(TaskFailed, match=f"cancelled {how}") as caught:
        row.wait(60)
    assert caught.value.type == "leek.exceptions.TaskCancelled"
    row.refresh_from_db()
    assert (row.crashes, row.suspect) == (0, False)


@pytest.mark.django_db
class TestWhatWaits:
    """It is failed by the caller, in one transaction."""

    def test_is_failed_at_once(self) -> None:
        row = push_task_to_queue(tasks.noop)
        assert row.cancel() is True
        assert row.status == Status.FAILED
        assert row.tries == 0
        assert_cancelled(row, "before it began")
        assert not FailedAttempts.objects.exists()

    def test_is_failed_before_its_time(self) -> None:
        row = using(run_after=timedelta(hours=1)).push(tasks.noop)
        assert row.cancel()
        assert_cancelled(row, "before it began")

    def test_is_failed_at_its_gate(self) -> None:
        row = push_task_to_queue(tasks.noop)
        QueuedTasks.objects.update(state=State.BLOCKED, blocked_by="smtp")
        assert row.cancel()
        assert row.blocked_by is None
        assert_cancelled(row, "before it began")

    def test_frees_its_unique_key(self) -> None:
        row = push_task_to_queue(tasks.noop)
        QueuedTasks.objects.update(unique_key="key")
        assert row.cancel()
        assert row.unique_key is None
        assert row.failure.unique_key == "key"
        assert row.retry()
        assert row.unique_key == "key"

    def test_is_cancelled_if_the_transaction_commits(self) -> None:
        row = push_task_to_queue(tasks.noop)
        with transaction.atomic(using=queue_database()):
            assert row.cancel()
            transaction.set_rollback(True, using=queue_database())
        row.refresh_from_db()
        assert row.state == State.READY
        assert not FailedTasks.objects.exists()

    def test_is_cancelled_from_async_code(self) -> None:
        row = push_task_to_queue(tasks.noop)
        assert async_to_sync(row.acancel)() is True
        assert row.state == State.FAILED

    def test_is_told_of(self) -> None:
        told: list[dict[str, Any]] = []

        def note(**facts: Any) -> None:
            told.append(facts)

        row = push_task_to_queue(tasks.noop)
        task_finished.connect(note)
        try:
            row.cancel()
            row.cancel()
        finally:
            task_finished.disconnect(note)
        (facts,) = told
        assert (facts["task_id"], facts["status"]) == (row.pk, Status.FAILED)
        assert facts["error"].type == "leek.exceptions.TaskCancelled"

    def test_is_chosen_by_the_name_of_its_error(self) -> None:
        push_task_to_queue(tasks.noop).cancel()
        would = run("leek_retry_failed", "--exception=TaskCancelled", "--dry-run")
        assert would == "Would push back 1 tasks.\n"


@pytest.mark.django_db
@pytest.mark.parametrize("error", ["", "ValueError"])
def test_what_has_ended_is_left(error: str) -> None:
    row = push_task_to_queue(tasks.noop)
    finish([row], error)
    assert row.cancel() is False
    assert row.state == (State.FAILED if error else State.SUCCESSFUL)


@pytest.mark.django_db
@pytest.mark.parametrize("owner", [None, 4711])
def test_what_no_known_server_runs_is_left(owner: int | None) -> None:
    row = push_task_to_queue(tasks.noop)
    QueuedTasks.objects.update(state=State.RUNNING, owner=owner)
    assert row.cancel() is False
    assert row.status == Status.RUNNING


@pytest.mark.django_db(transaction=True)
def test_a_task_is_either_claimed_or_cancelled() -> None:
    rows = push_many([(tasks.noop, (), {})] * 60)
    server = leases.register(address="x", port=1, workers=1, queues=None, seconds=30)
    claimed: set[int] = set()

    def claim() -> None:
        number = 0
        while QueuedTasks.objects.ready().exists():
            number += 1
            claimed.update(task.id for task in lifecycle.claim(server.pk, number, 2, None))
        connections.close_all()

    claiming = threading.Thread(target=claim)
    claiming.start()
    cancelled = {row.pk for row in reversed(rows) if lifecycle.cancel(row.pk)}
    claiming.join()
    assert claimed.isdisjoint(cancelled)
    assert claimed | cancelled == {row.pk for row in rows}
    assert set(FailedTasks.objects.values_list("pk", flat=True)) == cancelled
    assert QueuedTasks.objects.running().count() == len(claimed)


class TestWhatRuns:
    """Its server stops it, if it can."""

    def test_is_cancelled_on_the_event_loop(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server()
        row = push_task_to_queue(tasks.never_end, str(tmp_path / "gate"))
        wait_until(has_begun(tmp_path / "gate"))
        assert row.cancel() is True
        assert_cancelled(row)
        assert push_task_to_queue(tasks.add_slowly, 1, 2).wait(60) == 3

    def test_is_killed_in_its_child_process(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server("--isolate")
        row = push_task_to_queue(tasks.wait_for, str(tmp_path / "gate"))
        wait_until(has_begun(tmp_path / "gate"))
        assert row.cancel()
        assert_cancelled(row)
        assert row.tries == 1
        assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3

    @pytest.mark.logs_errors
    def test_is_killed_where_it_runs_alone(self, start_server: StartServer, tmp_path: Path) -> None:
        start_server("--queues", "other")
        row = push_task_to_queue(tasks.wait_for, str(tmp_path / "gate"))
        QueuedTasks.objects.update(crashes=1, queue="other")
        wait_until(has_begun(tmp_path / "gate"))
        assert row.cancel()
        with pytest.raises(TaskFailed, match="TaskCancelled"):
            row.wait(60)
        assert row.crashes == 1

    def test_goes_on_in_a_thread(self, start_server: StartServer, tmp_path: Path) -> None:
        start_server()
        gate = tmp_path / "gate"
        row = push_task_to_queue(tasks.wait_for, str(gate))
        wait_until(has_begun(gate))
        assert row.cancel() is False
        assert row.status == Status.RUNNING
        gate.touch()
        assert row.wait(60) is None

    def test_is_found_at_the_server_that_has_it(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server("--queues", "default")
        start_server("--queues", "other", "--host", "0.0.0.0", port=free_port())
        row = using(queue="other").push(tasks.never_end, str(tmp_path / "gate"))
        wait_until(has_begun(tmp_path / "gate"))
        assert row.cancel()
        assert_cancelled(row)

    def test_does_not_begin_if_it_is_cancelled_before_there_is_room(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server(LEEK_ASYNC_LIMIT="1")
        gate = tmp_path / "gate"
        first = push_task_to_queue(tasks.wait_slowly, str(gate))
        wait_until(has_begun(gate))
        second = push_task_to_queue(tasks.record_slowly, "second")

        def waits_for_a_slot() -> bool:
            second.refresh_from_db()
            return second.state == State.RUNNING and client.ask("waiting").value == 1

        wait_until(waits_for_a_slot)
        assert second.cancel()
        gate.touch()
        assert_cancelled(second, "")
        assert first.wait(60) is None
        assert not Runs.objects.exists()

    def test_is_cancelled_whatever_it_makes_of_that(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        start_server()
        row = push_task_to_queue(tasks.survive_cancellation, str(tmp_path / "gate"))
        wait_until(has_begun(tmp_path / "gate"))
        assert row.cancel()
        assert_cancelled(row)


class TestAnUnreachableServer:
    """It costs some seconds at most, and no error."""

    @pytest.fixture(autouse=True)
    def little_patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let clients wait for a moment only."""
        monkeypatch.setattr(client, "ASK_TIMEOUT", 0.3)

    @pytest.fixture
    def row(self, start_server: StartServer, tmp_path: Path) -> QueuedTasks:
        """Return the row of a task that a server runs."""
        self.server = start_server()
        row = push_task_to_queue(tasks.never_end, str(tmp_path / "gate"))
        wait_until(has_begun(tmp_path / "gate"))
        return row

    def test_that_was_killed(self, row: QueuedTasks) -> None:
        self.server.kill()
        assert row.cancel() is False
        assert row.status == Status.RUNNING

    def test_that_stands_still(self, row: QueuedTasks) -> None:
        self.server.freeze()
        assert row.cancel() is False
        self.server.thaw()

    def test_that_has_another_secret(self, row: QueuedTasks, settings: object) -> None:
        settings.SECRET_KEY = "another"  # type: ignore[attr-defined]
        assert row.cancel() is False
        assert row.status == Status.RUNNING
