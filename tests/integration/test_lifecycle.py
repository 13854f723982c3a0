"""The moves of a task, each fenced by owner and claim number."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from leek import agenda, leases, lifecycle, status
from leek.api import push_many, push_task_to_queue, using
from leek.exceptions import TaskFailed
from leek.lifecycle import PushedBack
from leek.models import FailedTasks, QueuedTasks, Servers, State, SuccessTasks, Tallies
from leek.outcome import Claimed, Crash, ErrorReport, Failure, Outcome, Retry, Success
from leek.tally import EVER, HOUR
from tests.site.tasks import add, noop

pytestmark = pytest.mark.django_db

ODD_QUEUES = ["mail-a", "Mail-a", "mail-b", "Mail-b", "50%", "50%\\off", "café", "two\nlines"]
ERROR = ErrorReport("ValueError", "as asked", "Traceback ...")


def a_server(port: int = 1, seconds: float = 30) -> Servers:
    """Return a new server with a lease."""
    server = leases.register(
        address="127.0.0.1", port=port, workers=1, queues=None, seconds=seconds
    )
    server.refresh_from_db()
    return server


def success(claimed: Claimed) -> Success:
    """Return the outcome of a task that returned None."""
    return Success(claimed, timezone.now(), timezone.now(), None)


def failure(claimed: Claimed) -> Failure:
    """Return the outcome of a task that failed for good."""
    return Failure(claimed, timezone.now(), timezone.now(), ERROR)


def retry(claimed: Claimed, delay: float = 60, **options: Any) -> Retry:
    """Return the outcome of a task that is to be tried again."""
    return Retry(claimed, timezone.now(), timezone.now(), ERROR, delay, **options)


def crash(claimed: Claimed, max_crashes: int = 3) -> Crash:
    """Return the outcome of a task that took its process down."""
    return Crash(
        claimed, timezone.now(), timezone.now(), "exited with 3", max_crashes, was_alone=True
    )


def states() -> list[int]:
    """Return the states of all tasks, in the order of their push."""
    return list(QueuedTasks.objects.order_by("pk").values_list("state", flat=True))


class TestClaim:
    """Taking ready rows for one server."""

    def test_takes_the_most_urgent_first_and_then_the_oldest(self) -> None:
        rows = [using(priority=priority).push(noop) for priority in (0, 5, -5, 5, 0)]
        claimed = lifecycle.claim(a_server().pk, 1, 4, None)
        assert [task.id for task in claimed] == [rows[index].pk for index in (1, 3, 0, 4)]
        assert states() == [State.RUNNING, State.RUNNING, State.READY, *[State.RUNNING] * 2]

    def test_takes_nothing_twice(self) -> None:
        push_many([(noop, (), {})] * 3)
        first, second = a_server(1).pk, a_server(2).pk
        taken = lifecycle.claim(first, 1, 2, None) + lifecycle.claim(second, 1, 2, None)
        assert len({task.id for task in taken}) == len(taken) == 3

    def test_takes_from_the_chosen_queues_only(self) -> None:
        using(queue="mail").push(noop)
        slow = using(queue="slow").push(noop)
        assert [task.id for task in lifecycle.claim(a_server().pk, 1, 9, ["slow"])] == [slow.pk]

    @pytest.mark.parametrize(
        ("queues", "taken"),
        [
            (["mail-*"], ["mail-a", "mail-b"]),
            (["mail-a", "Mail-*"], ["mail-a", "Mail-a", "Mail-b"]),
            (["MAIL-B"], []),
            (["mail*", "50%"], ["mail-a", "mail-b", "50%"]),
            (["50%*"], ["50%", "50%\\off"]),
            (["5_*", "50%\\*"], ["50%\\off"]),
            (["*é*"], ["café"]),
            (["two*"], ["two\nlines"]),
            (["two"], []),
            ({"*": 1}, None),
        ],
    )
    def test_takes_from_queues_of_a_name_or_pattern(
        self, queues: Collection[str], taken: list[str] | None
    ) -> None:
        pushed = {using(queue=queue).push(noop).pk: queue for queue in ODD_QUEUES}
        claimed = [pushed[task.id] for task in lifecycle.claim(a_server().pk, 1, 99, queues)]
        expected = [queue for queue in ODD_QUEUES if taken is None or queue in taken]
        assert claimed == expected

    def test_is_narrowed_to_some_of_the_queues(self) -> None:
        for queue in ("mail-a", "mail-b", "slow"):
            using(queue=queue).push(noop)
        server = a_server().pk
        assert len(lifecycle.claim(server, 1, 9, ["mail-*"], ["mail-b", "slow"])) == 1
        assert len(lifecycle.claim(server, 2, 9, ["mail-*"])) == 1

    def test_leaves_what_is_not_due(self) -> None:
        using(run_after=timedelta(hours=1)).push(noop)
        assert lifecycle.claim(a_server().pk, 1, 9, None) == []
        assert lifecycle.promote(None, 9) == 0


class TestSettle:
    """Recording outcomes, for the server that still owns the task."""

    def test_records_all_kinds_together(self) -> None:
        server = a_server()
        push_many([(add, (1, 2), {})] * 3)
        one, two, three = lifecycle.claim(server.pk, 1, 3, None)
        assert lifecycle.settle([success(one), failure(two), retry(three)]) == []
        assert states() == [State.SUCCESSFUL, State.FAILED, State.DEFERRED]
        assert set(QueuedTasks.objects.values_list("tries", flat=True)) == {1}
        assert SuccessTasks.objects.get().task_id == one.id
        failed = QueuedTasks.objects.get(pk=two.id)
        assert failed.exception is not None
        assert (failed.exception.type, failed.exception.message) == ("ValueError", "as asked")
        with pytest.raises(TaskFailed, match="ValueError: as asked"):
            _ = failed.result

    def test_takes_few_statements_however_many_outcomes(self) -> None:
        server = a_server()
        push_many([(noop, (), {})] * 200)
        outcomes: list[Outcome] = [
            success(task) for task in lifecycle.claim(server.pk, 1, 200, None)
        ]
        with CaptureQueriesContext(connection) as queries:
            lifecycle.settle(outcomes)
        changing = [query for query in queries if "SAVEPOINT" not in query["sql"]]
        assert len(changing) <= 3

    @pytest.mark.parametrize("late", [success, failure, retry])
    def test_refuses_an_outcome_of_a_superseded_claim(self, late: Any) -> None:
        first, second = a_server(1), a_server(2)
        push_task_to_queue(noop)
        (old,) = lifecycle.claim(first.pk, 1, 1, None)
        lifecycle.rescue(first, (), 3, even_if_renewed=True)
        (new,) = lifecycle.claim(second.pk, 1, 1, None)
        outcome = late(old)
        assert lifecycle.settle([outcome]) == [outcome]
        assert states() == [State.RUNNING]
        assert not FailedTasks.objects.exists()
        assert not SuccessTasks.objects.exists()
        assert lifecycle.settle([success(new)]) == []
        assert states() == [State.SUCCESSFUL]

    def test_refuses_a_late_outcome_of_the_same_server(self) -> None:
        server = a_server()
        push_task_to_queue(noop)
        (old,) = lifecycle.claim(server.pk, 1, 1, None)
        lifecycle.release([old])
        lifecycle.claim(server.pk, 2, 1, None)
        refused = lifecycle.settle([success(old)])
        assert [outcome.claimed for outcome in refused] == [old]
        assert states() == [State.RUNNING]

    def test_records_the_others_where_one_is_refused(self) -> None:
        server = a_server()
        push_many([(noop, (), {})] * 3)
        tasks = lifecycle.claim(server.pk, 1, 3, None)
        lifecycle.release([tasks[1]])
        outcomes: list[Outcome] = [success(task) for task in tasks]
        assert lifecycle.settle(outcomes) == [outcomes[1]]
        assert states() == [State.SUCCESSFUL, State.READY, State.SUCCESSFUL]
        assert SuccessTasks.objects.count() == 2

    def test_knows_an_outcome_that_is_stored_already(self) -> None:
        server = a_server()
        push_task_to_queue(noop)
        (task,) = lifecycle.claim(server.pk, 1, 1, None)
        assert lifecycle.settle([success(task)]) == []
        assert lifecycle.settle([success(task)]) == []
        assert SuccessTasks.objects.count() == 1

    def test_puts_a_retry_off_without_spending_a_try_on_a_parked_task(self) -> None:
        server = a_server()
        push_task_to_queue(noop)
        (task,) = lifecycle.claim(server.pk, 1, 1, None)
        lifecycle.settle([retry(task, 0, spends_try=False)])
        assert QueuedTasks.objects.get().tries == 0
        assert agenda.look(server.pk, None).next_due == 0
        assert lifecycle.promote(None, 9) == 1
        assert states() == [State.READY]


class TestLook:
    """One statement tells what there is to do."""

    def test_finds_nothing_in_an_empty_queue(self) -> None:
        server = a_server()
        with CaptureQueriesContext(connection) as queries:
            found = agenda.look(server.pk, None)
        assert len(queries) == 1
        assert found == agenda.Agenda(
            ready=False, suspects=False, next_due=None, dead_servers=False
        )

    def test_finds_ready_and_deferred_tasks_of_its_queues(self) -> None:
        server = a_server()
        using(queue="mail").push(noop)
        using(queue="slow", run_after=timedelta(minutes=10)).push(noop)
        assert agenda.look(server.pk, ["mail"]).ready
        assert agenda.look(server.pk, ["mail"]).next_due is None
        found = agenda.look(server.pk, ["slow"])
        assert not found.ready
        assert found.next_due == pytest.approx(600, abs=30)

    def test_finds_ready_and_deferred_tasks_of_its_patterns(self) -> None:
        server = a_server()
        using(queue="mail-a").push(noop)
        using(queue="slow-a", run_after=timedelta(minutes=10)).push(noop)
        found = agenda.look(server.pk, ["none", "mail-*"])
        assert (found.ready, found.next_due) == (True, None)
        found = agenda.look(server.pk, ["none", "slow-*"])
        assert not found.ready
        assert found.next_due == pytest.approx(600, abs=30)

    def test_finds_ready_tasks_in_the_letters_of_its_patterns_only(self) -> None:
        server = a_server()
        using(queue="MAIL-A", priority=9).push(noop)
        assert not agenda.look(server.pk, ["mail-*"]).ready
        using(queue="mail-a").push(noop)
        assert agenda.look(server.pk, ["mail-*"]).ready

    @pytest.mark.parametrize("number", [0, 1, 15, 16, 17, 40])
    def test_names_each_queue_that_has_ready_tasks(self, number: int) -> None:
        names = [f"queue-{position}" for position in range(number)]
        for name in names * 2:
            using(queue=name).push(noop)
        using(queue="later", run_after=timedelta(hours=1)).push(noop)
        assert sorted(agenda.ready_queues()) == sorted(names)

    def test_finds_servers_whose_lease_is_over(self) -> None:
        server = a_server()
        a_server(2, seconds=-1)
        assert agenda.look(server.pk, None).dead_servers

    def test_finds_that_its_own_lease_was_ended(self) -> None:
        server = a_server()
        leases.resign(server.pk)
        assert not agenda.look(server.pk, None).registered


def test_a_server_that_registers_again_has_one_lease() -> None:
    boot = uuid4()
    first, second = (
        leases.register(address="x", port=1, workers=1, queues=None, seconds=30, boot=boot)
        for _ in range(2)
    )
    assert Servers.objects.get().pk == second.pk != first.pk


class TestLostAnswers:
    """Settling again what is stored already, because the answer to the commit got lost."""

    @pytest.mark.parametrize(
        "outcome",
        [success, failure, retry, crash, lambda claimed: retry(claimed, spends_try=False)],
    )
    def test_is_no_lost_lease(self, outcome: Any) -> None:
        push_task_to_queue(noop)
        (claimed,) = lifecycle.claim(a_server().pk, 1, 1, None)
        settled = outcome(claimed)
        assert lifecycle.settle([settled]) == lifecycle.settle([settled]) == []
        row = QueuedTasks.objects.get()
        assert row.tries + row.crashes <= 1


class TestCrash:
    """Settling a run that ended with its process."""

    def test_gives_the_task_back_at_no_try(self) -> None:
        push_task_to_queue(noop)
        (claimed,) = lifecycle.claim(a_server().pk, 1, 1, None)
        assert lifecycle.settle([crash(claimed)]) == []
        row = QueuedTasks.objects.get()
        assert (row.state, row.owner_id, row.crashes, row.tries) == (State.READY, None, 1, 0)
        (again,) = lifecycle.claim(a_server(2).pk, 1, 1, None)
        assert again.must_run_alone
        assert not claimed.must_run_alone

    def test_is_counted_once_for_one_claim(self) -> None:
        push_task_to_queue(noop)
        (claimed,) = lifecycle.claim(a_server().pk, 1, 1, None)
        lifecycle.settle([crash(claimed)])
        assert lifecycle.settle([crash(claimed)]) == []  # as after a lost answer to the commit
        lifecycle.claim(a_server(2).pk, 2, 1, None)
        assert len(lifecycle.settle([crash(claimed)])) == 1
        assert QueuedTasks.objects.get().crashes == 1

    def test_fails_the_task_at_the_last_one(self) -> None:
        row = push_task_to_queue(noop)
        for number in range(1, 4):
            (claimed,) = lifecycle.claim(a_server(number).pk, 1, 1, None)
            lifecycle.settle([crash(claimed)])
        with pytest.raises(TaskFailed, match=r"exited with 3 \(crash 3 of 3\)") as caught:
            row.wait(60)
        assert caught.value.type == "leek.exceptions.WorkerLost"
        assert (row.crashes, row.tries) == (3, 0)
        lifecycle.retry_failed([row.pk])
        row.refresh_from_db()
        assert (row.state, row.crashes, row.suspect) == (State.READY, 0, False)


class TestSuspects:
    """What a dead server had claimed of which nobody knows what it was running."""

    def suspects(self, number: int) -> tuple[Servers, list[Claimed]]:
        """Return a server, and the first suspects that it claims of so many."""
        dead, server = a_server(1), a_server(2)
        push_many([(noop, (), {})] * number)
        lifecycle.claim(dead.pk, 1, number, None)
        assert lifecycle.rescue(dead, None, 3, even_if_renewed=True) == (number, [])
        return server, lifecycle.claim_suspect(server.pk, 1, None)

    def test_are_taken_one_at_a_time_by_who_asks_for_them(self) -> None:
        server, first = self.suspects(3)
        assert len(first) == 1
        assert first[0].must_run_alone
        assert lifecycle.claim(server.pk, 2, 9, None) == []
        assert lifecycle.promote(None, 9) == 0
        assert len(lifecycle.claim_suspect(server.pk, 2, None)) == 1
        assert lifecycle.claim_suspect(server.pk, 3, ["mail"]) == []

    def test_are_found_but_make_no_due_time(self) -> None:
        server, _ = self.suspects(2)
        found = agenda.look(server.pk, None)
        assert (found.ready, found.suspects, found.next_due) == (False, True, None)
        assert status.waiting() == 1

    def test_stay_suspects_when_given_back(self) -> None:
        server, claimed = self.suspects(1)
        assert lifecycle.release(claimed) == 1
        assert lifecycle.claim(server.pk, 2, 9, None) == []
        assert lifecycle.claim_suspect(server.pk, 2, None)[0].id == claimed[0].id

    @pytest.mark.parametrize("outcome", [success, failure, retry])
    def test_are_cleared_by_an_outcome(self, outcome: Any) -> None:
        _, (claimed,) = self.suspects(1)
        assert lifecycle.settle([outcome(claimed)]) == []
        row = QueuedTasks.objects.get()
        assert (row.suspect, row.crashes) == (False, 0)

    def test_are_charged_with_the_former_crash_at_the_first_one(self) -> None:
        server, (claimed,) = self.suspects(1)
        lifecycle.settle([crash(claimed)])
        row = QueuedTasks.objects.get()
        assert (row.state, row.crashes, row.suspect) == (State.DEFERRED, 2, True)
        (claimed,) = lifecycle.claim_suspect(server.pk, 2, None)
        lifecycle.settle([crash(claimed)])
        row.refresh_from_db()
        assert (row.state, row.crashes, row.suspect) == (State.FAILED, 3, False)

    def test_may_be_postponed(self) -> None:
        server, claimed = self.suspects(1)
        lifecycle.postpone(claimed, 60)
        row = QueuedTasks.objects.get()
        assert (row.state, row.owner_id, row.suspect) == (State.DEFERRED, None, True)
        assert lifecycle.claim_suspect(server.pk, 2, None) == []

    def test_are_charged_when_nobody_knows_again_and_others_are_not(self) -> None:
        server, (claimed,) = self.suspects(1)
        other = push_task_to_queue(noop)
        lifecycle.claim(server.pk, 2, 9, None)
        assert lifecycle.rescue(server, None, 3, even_if_renewed=True) == (2, [])
        last = a_server(3)
        assert QueuedTasks.objects.get(pk=claimed.id).crashes == 1
        other.refresh_from_db()
        assert (other.crashes, other.suspect) == (0, True)
        assert lifecycle.claim_suspect(last.pk, 1, None)[0].id == claimed.id
        assert lifecycle.rescue(last, None, 2, even_if_renewed=True) == (0, [claimed.id])


class TestRescue:
    """Giving back the rows of a dead server."""

    def test_gives_claimed_tasks_back_at_no_cost(self) -> None:
        server = a_server()
        push_many([(noop, (), {})] * 2)
        lifecycle.claim(server.pk, 1, 2, None)
        assert lifecycle.rescue(server, (), 3, even_if_renewed=True) == (2, [])
        assert states() == [State.READY, State.READY]
        assert set(QueuedTasks.objects.values_list("crashes", "tries")) == {(0, 0)}

    def test_charges_a_crash_to_what_was_running_only(self) -> None:
        server = a_server()
        rows = push_many([(noop, (), {})] * 2)
        lifecycle.claim(server.pk, 1, 2, None)
        lifecycle.rescue(server, {rows[0].pk}, 3, even_if_renewed=True)
        assert list(QueuedTasks.objects.order_by("pk").values_list("crashes", flat=True)) == [1, 0]

    def test_fails_a_task_that_crashed_too_often(self) -> None:
        row = push_task_to_queue(noop)
        for number in range(3):
            server = a_server()
            assert len(lifecycle.claim(server.pk, number, 1, None)) == 1
            lifecycle.rescue(server, {row.pk}, 3, even_if_renewed=True)
        row.refresh_from_db()
        assert (row.state, row.crashes, row.tries) == (State.FAILED, 3, 0)
        assert row.exception is not None
        assert row.exception.type == "leek.exceptions.WorkerLost"

    def test_counts_the_crashes_as_ended_when_the_lease_did(self) -> None:
        row, _ = push_many([(noop, (), {})] * 2)
        for number in range(3):
            server = a_server()
            lifecycle.claim(server.pk, number, 2, None)
            server.expires_at -= timedelta(hours=8)  # which nobody was there to see
            lifecycle.rescue(server, {row.pk}, 3, even_if_renewed=True)
        tally = Tallies.objects.get(period=EVER)
        assert (tally.name, tally.crashed, tally.failed) == (row.name, 3, 1)
        assert sum(tally.waits) == sum(tally.runs) == 3
        assert tally.ran == 0
        for hour in Tallies.objects.filter(period=HOUR):
            assert hour.begins_at <= server.expires_at

    def test_names_those_that_failed_in_the_order_of_their_push(self) -> None:
        server = a_server()
        ids = [row.pk for row in push_many([(noop, (), {})] * 3)]
        for number, pk in enumerate(reversed(ids), start=1):  # PostgreSQL writes rows anew
            QueuedTasks.objects.filter(pk=pk).update(priority=number)
            lifecycle.claim(server.pk, pk, 1, None)
        assert lifecycle.rescue(server, ids, 1, even_if_renewed=True) == (0, ids)

    def test_leaves_the_tasks_of_others(self) -> None:
        first, second = a_server(1), a_server(2)
        push_task_to_queue(noop)
        lifecycle.claim(first.pk, 1, 1, None)
        assert lifecycle.rescue(second, (), 3, even_if_renewed=True) == (0, [])
        assert states() == [State.RUNNING]

    def test_finds_what_no_server_owns(self) -> None:
        me, dead, gone = a_server(1), a_server(2, seconds=-1), a_server(3)
        push_many([(noop, (), {})] * 3)
        for server in (me, dead, gone):
            lifecycle.claim(server.pk, 1, 1, None)
        leases.resign(gone.pk)
        assert agenda.orphaned(me.pk) == [gone.pk]
        assert leases.expired(me.pk) == [dead]

    def test_spares_a_server_that_renewed_its_lease(self) -> None:
        server = a_server(seconds=-1)
        push_task_to_queue(noop)
        lifecycle.claim(server.pk, 1, 1, None)
        assert leases.renew(server.pk, 30)
        assert lifecycle.rescue(server, (), 3) is None
        assert Servers.objects.exists()
        assert states() == [State.RUNNING]

    def test_ends_the_lease(self) -> None:
        server = a_server(seconds=-1)
        assert lifecycle.rescue(server, (), 3) == (0, [])
        assert not leases.renew(server.pk, 30)
        assert lifecycle.rescue(server, (), 3) is None

    def test_knows_the_predecessor_by_its_address(self) -> None:
        old, new, other = a_server(1), a_server(1), a_server(2)
        assert leases.predecessors(new) == [old]
        assert leases.predecessors(other) == []


class TestFinishedTasks:
    """Failed tasks pushed back, finished ones purged."""

    def failed(self) -> QueuedTasks:
        """Return a task that failed after a crash and a try."""
        server = a_server()
        row = push_task_to_queue(noop)
        (task,) = lifecycle.claim(server.pk, 1, 1, None)
        lifecycle.settle([failure(task)])
        row.refresh_from_db()
        return row

    def test_a_failed_task_pushed_back_has_clean_counters(self) -> None:
        row = self.failed()
        assert lifecycle.retry_failed([row.pk]) == PushedBack(1)
        row.refresh_from_db()
        assert (row.state, row.tries, row.crashes) == (State.READY, 0, 0)
        assert not FailedTasks.objects.exists()

    def test_only_failed_tasks_are_pushed_back(self) -> None:
        row = push_task_to_queue(noop)
        assert lifecycle.retry_failed([row.pk]) == PushedBack(0)

    def test_only_finished_tasks_are_purged(self) -> None:
        failed, waiting = self.failed(), push_task_to_queue(noop)
        assert lifecycle.purge([failed.pk, waiting.pk]) == 1
        assert list(QueuedTasks.objects.all()) == [waiting]
        assert not FailedTasks.objects.exists()


def test_a_task_that_was_read_begins_to_be_parked_anew() -> None:
    server = a_server()
    push_task_to_queue(noop)
    for number, parks in enumerate((True, False)):
        QueuedTasks.objects.update(state=State.READY)
        (claimed,) = lifecycle.claim(server.pk, number, 1, None)
        lifecycle.settle([retry(claimed, spends_try=not parks)])
        assert (QueuedTasks.objects.get().parked_since is not None) is parks


def test_nothing_is_purged_where_nothing_is_named() -> None:
    assert lifecycle.purge([]) == 0
