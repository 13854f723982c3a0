"""Failed tasks that are pushed back, by row or by leek_retry_failed, with their unique key."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from asgiref.sync import async_to_sync
from django.db import connections, transaction
from django.test import override_settings
from django.utils import timezone

from leek import lifecycle
from leek.api import push_task_to_queue
from leek.lifecycle import PushedBack
from leek.models import FailedTasks, QueuedTasks, State, queue_database
from tests.conftest import StartServer
from tests.integration.test_hints import Listen, listen  # noqa: F401 (a fixture)
from tests.site import tasks
from tests.support import finish, run, wait_until

KEY = "invoice-4711"


def pushed(key: str | None = None) -> QueuedTasks:
    """Return the row of a waiting task with a unique key."""
    row = push_task_to_queue(tasks.noop)
    QueuedTasks.objects.filter(pk=row.pk).update(unique_key=key)
    return row


def failed(key: str | None = None) -> QueuedTasks:
    """Return the row, as it is stored, of a failed task that had a unique key."""
    row = pushed(key)
    finish([row], error="ValueError")
    row.refresh_from_db()
    return row


@contextmanager
def in_the_meantime(key: str, *, commits: bool) -> Iterator[Callable[[], None]]:
    """Have somebody else push a task with this key; yield what has him commit, or roll back."""
    has_pushed, ends = threading.Event(), threading.Event()

    def push() -> None:
        now = timezone.now()
        task = {"name": "x", "payload": "", "run_after": now, "pushed_at": now, "unique_key": key}
        with transaction.atomic(using=queue_database()):
            lifecycle.push([task])
            has_pushed.set()
            ends.wait()
            transaction.set_rollback(not commits, using=queue_database())
        connections.close_all()

    thread = threading.Thread(target=push)
    thread.start()
    has_pushed.wait()
    yield ends.set
    thread.join()


@pytest.mark.django_db
class TestTheUniqueKey:
    """It is restored where it is free, and belongs to the newer task where it is not."""

    def test_is_restored(self) -> None:
        row = failed(KEY)
        assert not row.unique_key
        assert lifecycle.retry_failed([row.pk]) == PushedBack(1)
        row.refresh_from_db()
        assert (row.state, row.tries, row.unique_key) == (State.READY, 0, KEY)
        assert not FailedTasks.objects.exists()

    def test_stays_with_the_newer_task(self) -> None:
        older, other = failed(KEY), failed()
        newer = pushed(KEY)
        assert lifecycle.retry_failed([older.pk, other.pk]) == PushedBack(1, (older.pk,))
        assert QueuedTasks.objects.get(unique_key=KEY) == newer
        older.refresh_from_db()
        assert (older.state, older.tries) == (State.FAILED, 1)
        assert older.failure.unique_key == KEY

    def test_is_free_again_when_the_newer_task_is_finished(self) -> None:
        older, newer = failed(KEY), pushed(KEY)
        finish([newer])
        assert lifecycle.retry_failed([older.pk]) == PushedBack(1)

    def test_goes_to_one_of_several_failed_tasks(self) -> None:
        first, second = failed(KEY), failed(KEY)
        assert lifecycle.retry_failed([first.pk, second.pk]) == PushedBack(1, (second.pk,))

    def test_leaves_the_transaction_of_the_caller_usable(self) -> None:
        older = failed(KEY)
        newer = pushed(KEY)
        with transaction.atomic(using=queue_database()):
            assert lifecycle.retry_failed([older.pk]).left == (older.pk,)
            assert QueuedTasks.objects.get(unique_key=KEY) == newer

    def test_is_named_by_leek_retry_failed(self) -> None:
        older, other = failed(KEY), failed()
        pushed(KEY)
        assert run("leek_retry_failed") == (
            "Pushed back 1 tasks.\n"
            f"Left 1 task(s) whose unique key a newer task has taken: {older.pk}\n"
        )
        assert QueuedTasks.objects.get(pk=other.pk).state == State.READY

    def test_is_named_for_the_first_of_many(self) -> None:
        rows = [failed(f"key-{number}") for number in range(22)]
        for number in range(22):
            pushed(f"key-{number}")
        ids = ", ".join(str(row.pk) for row in rows[:20])
        printed = run("leek_retry_failed").splitlines()[1]
        assert printed == f"Left 22 task(s) whose unique key a newer task has taken: {ids}, ..."


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("commits", [True, False])
def test_a_key_that_is_just_being_taken_is_waited_for(commits: bool) -> None:
    row = failed(KEY)
    done: list[PushedBack] = []

    def push_back() -> None:
        done.append(lifecycle.retry_failed([row.pk]))
        connections.close_all()

    retrying = threading.Thread(target=push_back)
    with in_the_meantime(KEY, commits=commits) as end:
        retrying.start()
        end()
        retrying.join()
    assert done == [PushedBack(0, (row.pk,)) if commits else PushedBack(1)]
    assert QueuedTasks.objects.filter(unique_key=KEY).count() == 1


@pytest.mark.django_db(transaction=True)
class TestRetry:
    """row.retry()"""

    def test_pushes_back_what_has_failed_and_says_so(self) -> None:
        row = failed(KEY)
        assert row.exception
        assert row.retry() is True
        assert (row.state, row.unique_key) == (State.READY, KEY)
        assert not row.exception

    def test_does_nothing_to_any_other_task(self) -> None:
        waiting, done = pushed(), pushed()
        finish([done])
        assert not waiting.retry()
        assert not done.retry()
        assert (waiting.state, done.state) == (State.READY, State.SUCCESSFUL)

    def test_is_refused_where_a_newer_task_has_the_key(self) -> None:
        row = failed(KEY)
        pushed(KEY)
        assert row.retry() is False
        assert row.state == State.FAILED

    def test_works_from_async_code(self) -> None:
        row = failed()
        assert async_to_sync(row.aretry)() is True
        assert row.state == State.READY

    def test_hints_when_it_is_committed(self, listen: Listen) -> None:  # noqa: F811
        _, control = listen()
        row = failed()
        control.await_hints(1)
        with transaction.atomic(using=queue_database()):
            assert row.retry()
            assert row.retry() is False
            assert control.hints == 1
        control.await_hints(2)

    @override_settings(TASKS_QUEUE={"EAGER": True})
    def test_runs_at_once_where_pushes_do(self) -> None:
        row = push_task_to_queue(tasks.fail)
        assert row.state == State.FAILED
        assert row.retry()
        assert (row.state, row.tries) == (State.FAILED, 1)


@pytest.mark.logs_errors
def test_a_task_pushed_back_by_its_row_runs_again(
    start_server: StartServer, tmp_path: object
) -> None:
    start_server(LEEK_MAX_RETRIES="1", LEEK_POLL_INTERVAL="3600")
    row = push_task_to_queue(tasks.fail_until, f"{tmp_path}/tries", 2)

    def has_failed() -> bool:
        row.refresh_from_db()
        return row.state == State.FAILED

    wait_until(has_failed)
    assert row.retry()
    assert row.wait(60) == 2
