"""PURGE_AFTER: the server purges by itself. And gates that nobody needs any more."""

import re
import threading
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from leek import lifecycle, upkeep
from leek.api import push_many, push_task_to_queue
from leek.models import FailedTasks, Gates, QueuedTasks, State, SuccessTasks
from leek.server import purger
from leek.server.purger import Purger
from leek.server.service import Outage
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import finish, run, wait_until

pytestmark = pytest.mark.any_version

HOUR, DAY = 3600.0, 86_400.0


def ended(number: int, *, seconds_ago: float, error: str = "") -> list[int]:
    """Return the ids of so many tasks that ended so long ago."""
    when = timezone.now() - timedelta(seconds=seconds_ago)
    return finish(push_many([(tasks.noop, (), {})] * number), error, ended=when)


def left() -> list[int]:
    """Return the ids of all tasks."""
    return sorted(QueuedTasks.objects.values_list("pk", flat=True))


@pytest.fixture
def a_purger(monkeypatch: pytest.MonkeyPatch) -> Purger:
    """Return what purges by hand, and does not rest."""
    monkeypatch.setattr(purger, "INTERVAL", 0.0)
    return Purger(Outage(), HOUR, nullcontext())


@pytest.mark.django_db
class TestPurger:
    """Turns of its loop."""

    def test_deletes_what_has_succeeded_long_ago(self, a_purger: Purger) -> None:
        ended(3, seconds_ago=2 * HOUR)
        failed = ended(1, seconds_ago=2 * HOUR, error="ValueError")
        young = ended(2, seconds_ago=HOUR / 2)
        waiting = push_task_to_queue(tasks.noop).pk
        a_purger.run_once()
        assert left() == [*failed, *young, waiting]
        assert SuccessTasks.objects.count() == 2
        assert FailedTasks.objects.count() == 1

    def test_goes_on_with_what_was_pushed_first(
        self, a_purger: Purger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upkeep, "FIRST", 3)
        a_purger.run_once()
        straggler = ended(1, seconds_ago=0)
        ended(8, seconds_ago=2 * HOUR)
        young = ended(4, seconds_ago=0)
        beyond = ended(1, seconds_ago=2 * HOUR)
        a_purger.run_once()
        assert left() == [*straggler, *young, *beyond]

    def test_looks_at_all_now_and_then(
        self, a_purger: Purger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upkeep, "FIRST", 3)
        monkeypatch.setattr(purger, "FULL_INTERVAL", 0.0)
        a_purger.run_once()
        young = ended(4, seconds_ago=0)
        ended(1, seconds_ago=2 * HOUR)
        a_purger.run_once()
        assert left() == young

    def test_stops_after_the_batch(self, a_purger: Purger, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(upkeep, "FIRST_BATCH", 7)
        ended(20, seconds_ago=2 * HOUR)
        a_purger.stop()
        a_purger.run_once()
        assert len(left()) == 13

    def test_deletes_gates_that_nobody_needs(self, a_purger: Purger) -> None:
        gate("smtp", unused_for=2 * DAY)
        a_purger.run_once()
        assert not Gates.objects.exists()

    def test_is_not_there_unless_it_is_asked_for(self) -> None:
        idle = Purger(Outage(), None, nullcontext())
        idle.start()
        assert idle.join(0)
        idle.stop()

    def test_holds_the_lock_of_writers_for_a_batch_at_a_time(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upkeep, "FIRST_BATCH", 7)
        monkeypatch.setattr(upkeep, "LARGEST_BATCH", 7)
        held: list[int] = []

        class Lock:
            """Notes how many tasks go while it is held."""

            def __enter__(self) -> None:
                self.before = QueuedTasks.objects.count()

            def __exit__(self, *error: object) -> None:
                held.append(self.before - QueuedTasks.objects.count())

        ended(10, seconds_ago=0)
        assert sum(upkeep.purge(upkeep.successes(), Lock())) == 10
        assert held == [7, 3]


@pytest.mark.django_db(transaction=True)
def test_two_servers_may_purge_at_a_time() -> None:
    ended(400, seconds_ago=2 * HOUR)
    outage = Outage()
    errors: list[Exception] = []

    def purge() -> None:
        one = Purger(outage, HOUR, nullcontext())
        one.stop()  # which has it end after the turn
        try:
            while SuccessTasks.objects.exists():
                one.run_once()
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=purge) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert left() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="one transaction writes at a time")
def test_a_purge_needs_no_task_that_another_one_is_deleting() -> None:
    ids = ended(100, seconds_ago=2 * HOUR)
    other = Purge(ids[:50])

    def let_the_other_begin(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith("DELETE") and SuccessTasks._meta.db_table in sql:
            other.start()
            wait_until(other.is_done_or_waits)
        return execute(sql, *arguments)

    with connection.execute_wrapper(let_the_other_begin):
        assert lifecycle.purge(ids[50:]) == 50
    other.join()
    assert other.deleted == 50
    assert left() == []


class Purge(threading.Thread):
    """A purge on a connection of its own."""

    def __init__(self, ids: list[int]) -> None:
        super().__init__()
        self.deleted: int | None = None
        self._ids = ids
        self._connection_id: int | None = None

    def run(self) -> None:
        try:
            connection.ensure_connection()
            if connection.vendor == "mysql":
                self._connection_id = connection.connection.thread_id()
            self.deleted = lifecycle.purge(self._ids)
        finally:
            connections.close_all()

    def is_done_or_waits(self) -> bool:
        """Tell whether it has ended, or waits for a row that somebody else has locked."""
        if self._connection_id is None:
            return not self.is_alive()
        waits = rf"LOCK WAIT .*\n\w+ thread id {self._connection_id},"
        with connection.cursor() as cursor:
            # information_schema.innodb_trx gives its first answer to who asks it again at once.
            cursor.execute("SHOW ENGINE INNODB STATUS")
            (_, _, status) = cursor.fetchone()
            return re.search(waits, status) is not None or not self.is_alive()


def test_a_server_purges_by_itself(start_server: StartServer) -> None:
    old = ended(3, seconds_ago=2 * HOUR)
    young = ended(2, seconds_ago=0)
    server = start_server(LEEK_PURGE_AFTER="3600")
    wait_until(lambda: f"Purged {len(old)} tasks that have succeeded" in server.log, "the purge")
    assert left() == young
    assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
    assert server.terminate() == 0


def test_a_server_keeps_everything_if_it_is_not_told_otherwise(start_server: StartServer) -> None:
    ended(3, seconds_ago=1000 * DAY)
    start_server()
    assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
    assert len(left()) == 4


# Gates


def gate(
    name: str, *, unused_for: float, capacity: int | None = None, period: float | None = None
) -> Gates:
    """Return a gate that was used so long ago."""
    used_at = timezone.now() - timedelta(seconds=unused_for)
    return Gates.objects.create(name=name, capacity=capacity, period=period, used_at=used_at)


def gates() -> set[str]:
    """Return the names of all gates."""
    return set(Gates.objects.values_list("name", flat=True))


@pytest.mark.django_db
class TestGates:
    """What is not used for a day and holds up nobody is forgotten."""

    def test_that_were_used_today_stay(self) -> None:
        gate("limit:a", unused_for=DAY + 60, capacity=1)
        gate("limit:b", unused_for=DAY - 60, capacity=1)
        assert upkeep.forget_gates() == 1
        assert gates() == {"limit:b"}

    def test_at_which_tasks_wait_stay(self) -> None:
        gate("smtp", unused_for=2 * DAY)
        gate("SMTP", unused_for=2 * DAY)
        push_task_to_queue(tasks.noop)
        QueuedTasks.objects.update(state=State.BLOCKED, blocked_by="smtp")
        upkeep.forget_gates()
        assert gates() == {"smtp"}
        QueuedTasks.objects.update(state=State.READY)
        upkeep.forget_gates()
        assert gates() == set()

    def test_of_long_rates_stay_longer(self) -> None:
        gate("rate:minute", unused_for=1.5 * DAY, capacity=1, period=60.0)
        gate("rate:week", unused_for=13 * DAY, capacity=1, period=7 * DAY)
        gate("rate:other-week", unused_for=15 * DAY, capacity=1, period=7 * DAY)
        gate("rate:month", unused_for=15 * DAY, capacity=1, period=30 * DAY)
        assert upkeep.forget_gates() == 2
        assert gates() == {"rate:week", "rate:month"}

    def test_are_forgotten_by_the_thousand(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("leek.lifecycle.admitting.MOST_GATES", 4)
        for number in range(10):
            gate(f"limit:{number}", unused_for=2 * DAY, capacity=1)
        assert lifecycle.forget_gates(DAY) == 4
        assert upkeep.forget_gates() == 6

    @pytest.mark.parametrize(("arguments", "number"), [([], 0), (["--dry-run"], 1)])
    def test_are_forgotten_by_leek_purge(self, arguments: list[str], number: int) -> None:
        gate("smtp", unused_for=2 * DAY)
        run("leek_purge", *arguments)
        assert Gates.objects.count() == number
