"""Unique pushes: one unfinished task for each key, whoever pushes and whenever."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, connections, transaction
from django.test import override_settings

from leek import lifecycle
from leek.api import push_task_to_queue, using
from leek.exceptions import InvalidTask
from leek.models import FailedTasks, QueuedTasks, State
from leek.outcome import ErrorReport, Failure, Retry, Success
from tests.conftest import StartServer
from tests.site.tasks import add, echo, noop, push_again, wait_for
from tests.support import finish, python, wait_until

KEY = "invoice-42"


def in_thread(function: Callable[[], Any]) -> Any:
    """Return what a function returns in a thread, which has connections of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(closing_connections(function)).result()


def closing_connections(function: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function that closes the connections of its thread in the end."""

    def run() -> Any:
        try:
            return function()
        finally:
            connections.close_all()

    return run


def push_it() -> QueuedTasks:
    """Push a task with the key."""
    return using(unique=KEY).push(noop)


@pytest.mark.django_db
class TestAKey:
    """While its task is not finished, a key gives that task."""

    def test_gives_the_row_that_is_there(self) -> None:
        row = using(unique=KEY, queue="mail").push(add, 1, 2)
        again = using(unique=KEY).push(echo, "something else")
        assert (row.duplicate, again.duplicate) == (False, True)
        assert again == row == QueuedTasks.objects.get()
        assert (again.name, again.queue, again.unique_key) == (
            "tests.site.tasks.add",
            "mail",
            KEY,
        )
        again.refresh_from_db()
        assert again.duplicate
        assert not QueuedTasks.objects.get().duplicate

    def test_means_nothing_to_other_pushes(self) -> None:
        rows = [push_it(), using(unique=KEY.upper()).push(noop), push_task_to_queue(noop)]
        rows += [push_task_to_queue(noop), using(unique=f"{KEY} 2").push(noop)]
        assert len({row.pk for row in rows}) == 5
        assert not any(row.duplicate for row in rows)

    @pytest.mark.parametrize("error", ["", "ValueError"], ids=["succeeded", "failed"])
    def test_is_free_when_its_task_is_finished(self, error: str) -> None:
        first = push_it()
        finish([first], error)
        second = push_it()
        assert second.pk != first.pk
        assert not second.duplicate
        assert push_it() == second
        assert list(FailedTasks.objects.values_list("unique_key", flat=True)) == [KEY] * bool(error)

    def test_is_taken_while_its_task_runs_and_waits_for_another_try(self) -> None:
        row = push_it()
        claimed = lifecycle.claim_one(row)
        assert (push_it().duplicate, push_it().state) == (True, State.RUNNING)
        now = row.pushed_at
        lifecycle.settle([Retry(claimed, now, now, ErrorReport("ValueError", "no"), 60.0)])
        assert (push_it().duplicate, push_it().state) == (True, State.DEFERRED)

    def test_is_taken_by_a_task_of_the_future(self) -> None:
        row = using(unique=KEY, run_after=timedelta(days=1)).push(noop)
        assert push_it() == row

    def test_is_free_after_a_rollback(self) -> None:
        with transaction.atomic():
            push_it()
            transaction.set_rollback(True)
        assert not push_it().duplicate

    @pytest.mark.parametrize("key", ["a", "x" * 255, "Größe 🥬", "a \t b"])
    def test_is_a_text(self, key: str) -> None:
        row = using(unique=key).push(noop)
        row.refresh_from_db()
        assert row.unique_key == key
        assert using(unique=key).push(noop) == row

    def test_may_be_of_an_enumeration(self) -> None:
        class Kind(str, Enum):  # noqa: UP042 (its text is not its value)
            INVOICE = KEY

        assert using(unique=Kind.INVOICE).push(noop) == push_it()

    @pytest.mark.parametrize(
        "key", ["", " a", "a ", "a\n", "\u00a0a", "x" * 256, "a\x00", "a\ud800", 42, b"a", ("a",)]
    )
    def test_that_cannot_be_one_is_refused(self, key: Any) -> None:
        with pytest.raises(InvalidTask, match=r"unique is .* text of 1 to 255 characters, without"):
            using(unique=key)

    def test_names_one_task_only(self) -> None:
        with pytest.raises(InvalidTask, match="2 tasks cannot be pushed as 'invoice-42'"):
            using(unique=KEY).push_many([(noop, (), {})] * 2)
        assert using(unique=KEY).push_many([]) == []
        (row,) = using(unique=KEY).push_many([(noop, (), {})])
        (again,) = using(unique=KEY).push_many([(noop, (), {})])
        assert (again, again.duplicate) == (row, True)

    def test_does_not_save_a_bad_push_from_refusal(self) -> None:
        push_it()
        with pytest.raises(InvalidTask, match="missing a required argument"):
            using(unique=KEY).push(add, 1)

    @override_settings(TASKS_QUEUE={"EAGER": True})
    def test_is_free_again_at_once_where_tasks_are_eager(self) -> None:
        assert [using(unique=KEY).push(add, 1, 2).result for _ in range(2)] == [3, 3]
        assert QueuedTasks.objects.count() == 2

    @override_settings(TASKS_QUEUE={"EAGER": True})
    def test_does_not_run_an_eager_task_within_itself(self) -> None:
        row = using(unique=KEY).push(push_again, KEY)
        assert row.result == [row.pk, True]
        assert QueuedTasks.objects.count() == 1


@pytest.mark.django_db
def test_the_transaction_of_the_caller_goes_on() -> None:
    with transaction.atomic():
        Group.objects.create(name="before")
        rows = [push_it() for _ in range(3)]
        Group.objects.create(name="after")
        with transaction.atomic():
            assert push_it() == rows[0]
    assert Group.objects.count() == 2
    assert QueuedTasks.objects.count() == 1


@contextmanager
def once_before(statement: str, action: Callable[[], Any]) -> Iterator[None]:
    """Do something in a thread before the first statement of a kind that asks for a key."""
    todo = [action]

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asks = sql.startswith(statement) and "unique_key" in sql and KEY in (params or ())
        if todo and asks:
            in_thread(todo.pop())
        return execute(sql, params, many, context)

    with connection.execute_wrapper(wrapper):
        yield
    assert not todo


@pytest.mark.django_db(transaction=True)
class TestARace:
    """The database decides."""

    def test_for_a_key_whose_task_is_finished_before_it_is_found(self, port: int) -> None:
        first = push_it()

        def finish_it() -> None:
            claimed = lifecycle.claim_one(first)
            lifecycle.settle([Success(claimed, first.pushed_at, first.pushed_at, None)])

        with once_before("SELECT", finish_it):
            second = push_it()
        assert second.pk != first.pk
        assert not second.duplicate

    def test_for_a_key_that_is_pushed_between_look_and_insertion(self, port: int) -> None:
        with once_before("INSERT", push_it):
            assert push_it().duplicate
        assert QueuedTasks.objects.count() == 1

    @pytest.mark.skipif(connection.vendor == "sqlite", reason="one transaction writes at a time")
    def test_for_a_key_that_is_pushed_between_look_and_insertion_of_a_transaction(
        self, port: int
    ) -> None:
        with transaction.atomic(), once_before("INSERT", push_it):
            assert push_it().duplicate
            Group.objects.create(name="after")
        assert QueuedTasks.objects.count() == Group.objects.count() == 1

    def test_ends_with_the_error_of_the_database_where_the_holder_is_never_found(
        self, port: int
    ) -> None:
        push_it()
        looks: list[str] = []

        def hide(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            if sql.startswith("SELECT"):
                looks.append(sql)
                params = ["another key" if value == KEY else value for value in params]
            return execute(sql, params, many, context)

        with connection.execute_wrapper(hide), pytest.raises(IntegrityError):
            push_it()
        assert looks

    @pytest.mark.parametrize("commits", [True, False], ids=["committed", "rolled back"])
    def test_for_a_key_that_is_not_committed_waits_for_its_transaction(
        self, commits: bool, port: int
    ) -> None:
        others = 3
        with ThreadPoolExecutor(others) as pool:
            with transaction.atomic():
                push_it()
                pushes = [pool.submit(closing_connections(push_it)) for _ in range(others)]
                if connection.vendor != "sqlite":
                    wait_until(lambda: len(waiting()) == others, "the others to wait")
                assert not any(push.done() for push in pushes)
                transaction.set_rollback(not commits)
            rows = [push.result() for push in pushes]
        assert QueuedTasks.objects.count() == 1
        assert {row.pk for row in rows} == {QueuedTasks.objects.get().pk}
        assert sorted(row.duplicate for row in rows) == [commits, True, True]

    def test_between_processes_has_one_winner(self, port: int, tmp_path: Path) -> None:
        number, rounds = 3, 15
        code = (
            "import django; django.setup()\n"
            "from tests.site.tasks import race\n"
            f"race({str(tmp_path)!r}, {number}, {rounds})"
        )
        with ThreadPoolExecutor(number) as pool:
            done = [pool.submit(python, "-c", code) for _ in range(number)]
            answers = [each.result() for each in done]
        assert not any(answer.returncode for answer in answers), [each.stderr for each in answers]
        lines = [line.split() for answer in answers for line in answer.stdout.splitlines()]
        assert len(lines) == number * rounds
        assert sum(duplicate == "False" for _, _, duplicate in lines) == rounds
        assert len({(key, row) for key, row, _ in lines}) == rounds
        assert QueuedTasks.objects.count() == rounds

    def test_with_a_worker_that_finishes_the_tasks_always_gives_a_row(self, port: int) -> None:
        ended = threading.Event()
        rows: list[QueuedTasks] = []

        def push_all() -> None:
            rows.extend(push_it() for _ in range(60))

        def work() -> None:
            while not ended.is_set():
                for row in QueuedTasks.objects.ready():
                    claimed, now = lifecycle.claim_one(row), row.pushed_at
                    error = ErrorReport("ValueError", "no")
                    failed = Failure(claimed, now, now, error)
                    lifecycle.settle([failed if row.pk % 2 else Success(claimed, now, now, None)])

        with ThreadPoolExecutor(4) as pool:
            working = pool.submit(closing_connections(work))
            pushing = [pool.submit(closing_connections(push_all)) for _ in range(3)]
            for each in pushing:
                each.result()
            ended.set()
            working.result()
        assert len(rows) == 180
        new = [row.pk for row in rows if not row.duplicate]
        assert len(new) == len({*new}) == QueuedTasks.objects.count()


def waiting() -> list[Any]:
    """Return the connections whose insertion waits for the transaction of this one."""
    queries = {
        "postgresql": (
            "SELECT pid FROM pg_locks"
            " WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        ),
        "mysql": (
            "SELECT id FROM information_schema.processlist"
            " WHERE db = DATABASE() AND info LIKE 'INSERT INTO%'"
        ),
    }
    with connection.cursor() as cursor:
        cursor.execute(queries[connection.vendor])
        return list(cursor.fetchall())


@pytest.mark.django_db(transaction=True)
def test_comes_from_async_code_too(port: int) -> None:
    async def view() -> list[bool]:
        rows = [await using(unique=KEY).apush(add, 1, 2) for _ in range(2)]
        await sync_to_async(connections.close_all)()
        return [row.duplicate for row in rows]

    assert asyncio.run(view()) == [False, True]


def test_a_server_frees_the_key(start_server: StartServer, tmp_path: Path) -> None:
    start_server()
    gate = tmp_path / "gate"
    row = using(unique=KEY).push(wait_for, str(gate))
    wait_until(Path(f"{gate}.begun").exists, "the running task")
    again = push_it()
    assert (again, again.duplicate) == (row, True)
    gate.touch()
    assert again.wait(60) is None
    assert push_it().wait(60) is None
    assert QueuedTasks.objects.count() == 2
