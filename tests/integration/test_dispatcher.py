"""The dispatcher, turn by turn, on a real database."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError

from leek import agenda, leases, lifecycle
from leek.api import push_many
from leek.models import QueuedTasks, State
from leek.outcome import Claimed
from leek.server import dispatcher as module
from leek.server.alarm import Alarm
from leek.server.backlog import Backlog
from leek.server.dispatcher import ClaimOptions, Dispatcher
from leek.server.heartbeat import Lease
from leek.server.pace import Pace
from leek.server.service import Outage
from tests.site.tasks import noop

pytestmark = pytest.mark.django_db


class Clock:
    """The monotonic clock, moved by hand."""

    def __init__(self) -> None:
        self.now = time.monotonic()  # which the backlog goes by

    def monotonic(self) -> float:
        """Return the time in seconds."""
        return self.now


class Scene:
    """A dispatcher for two workers, and all that it works with."""

    def __init__(self) -> None:
        server = leases.register(address="x", port=1, workers=2, queues=None, seconds=30)
        self.lease = Lease(server, 30, asked_at=1e12)
        self.backlog = Backlog()
        self.alarm = Alarm()
        self.idle_for: list[float] = []
        self.all_stored = True
        self.dispatcher = Dispatcher(
            Outage(),
            ClaimOptions(workers=2, queues=None, poll_interval=3600, max_tasks=None),
            self.lease,
            self.backlog,
            Pace(2),
            self.alarm,
            nullcontext(),
            is_all_stored=lambda: self.all_stored,
            on_dead_servers=lambda: None,
            on_blocked=lambda: False,
            on_lost_lease=lambda: None,
            on_idle=self.idle_for.append,
            on_exhausted=lambda: None,
        )

    def turn(self, times: int) -> None:
        """Have the dispatcher do some turns, without sleeping before them."""
        for _ in range(times):
            self.alarm.ring()
            self.dispatcher.run_once()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that the dispatcher goes by."""
    clock = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def scene(clock: Clock) -> Scene:
    return Scene()


def failing_once(action: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function as it is while the database is away for the first call."""
    calls = []

    def act(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            raise OperationalError("database is locked")
        return action(*arguments)

    return act


def test_claims_what_the_workers_can_start(scene: Scene) -> None:
    push_many([(noop, (), {})] * 5)
    scene.dispatcher.run_once()
    assert scene.backlog.waiting == 2
    assert QueuedTasks.objects.running().count() == 2


def test_tasks_that_come_one_by_one_are_claimed_together(
    scene: Scene, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def wait_while_another_is_pushed(seconds: float) -> None:
        waits.append(seconds)
        push_many([(noop, (), {})])

    monkeypatch.setattr(scene.dispatcher.stopping, "wait", wait_while_another_is_pushed)
    scene.dispatcher.run_once()  # finds nothing
    push_many([(noop, (), {})])
    scene.alarm.work_is_ready()
    scene.dispatcher.run_once()
    assert scene.backlog.waiting == 2
    assert waits == [pytest.approx(module.GATHERING)]


def test_a_task_that_comes_after_a_rest_is_claimed_at_once(
    scene: Scene, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.dispatcher.run_once()  # finds nothing
    monkeypatch.setattr(scene.dispatcher.stopping, "wait", pytest.fail)
    clock.now += module.GATHERING
    push_many([(noop, (), {})])
    scene.alarm.work_is_ready()
    scene.dispatcher.run_once()
    assert scene.backlog.waiting == 1


def test_what_could_not_be_given_back_is_given_back_later(
    scene: Scene, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_many([(noop, (), {})] * 2)
    scene.dispatcher.run_once()
    taken = [scene.backlog.take() for _ in range(2)]
    assert taken[0]
    scene.dispatcher.task_ended(taken[0])
    push_many([(noop, (), {})] * 2)
    scene.backlog.put(lifecycle.claim(scene.lease.server_id, 99, 2, None))
    scene.backlog.last_moved = 0.0  # the workers are busy with slow tasks
    monkeypatch.setattr(lifecycle, "release", failing_once(lifecycle.release))
    scene.alarm.ring()
    with pytest.raises(OperationalError):
        scene.dispatcher.run_once()
    assert QueuedTasks.objects.running().count() == 4
    scene.alarm.ring()
    scene.dispatcher.run_once()
    assert QueuedTasks.objects.running().count() == 2
    assert QueuedTasks.objects.ready().count() == 2


def test_a_claim_whose_answer_got_lost_is_given_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = lifecycle.claim

    def claim_and_lose_the_answer(*arguments: Any) -> Any:
        claim(*arguments)
        monkeypatch.setattr(lifecycle, "claim", claim)
        raise OperationalError("server closed the connection unexpectedly")

    push_many([(noop, (), {})] * 2)
    monkeypatch.setattr(lifecycle, "claim", claim_and_lose_the_answer)
    with pytest.raises(OperationalError):
        scene.dispatcher.run_once()
    assert scene.backlog.waiting == 0
    scene.dispatcher.run_once()
    assert scene.backlog.waiting == 2


def test_a_task_put_off_during_a_look_is_looked_for_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = agenda.look

    def look_while_a_task_is_put_off(*arguments: Any) -> agenda.Agenda:
        found = look(*arguments)
        scene.alarm.agenda_changed()
        return found

    monkeypatch.setattr(agenda, "look", look_while_a_task_is_put_off)
    scene.dispatcher.run_once()
    assert scene.alarm.look  # the next turn begins at once, whatever the poll interval


def test_a_look_leaves_the_workers_time_to_begin_what_was_claimed(
    scene: Scene, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    look = agenda.look

    def noted_look(*arguments: Any) -> agenda.Agenda:
        looks.append(clock.now)
        return look(*arguments)

    monkeypatch.setattr(agenda, "look", noted_look)
    scene.dispatcher.run_once()
    push_many([(noop, (), {})])
    scene.alarm.work_is_ready()
    scene.dispatcher.run_once()
    assert scene.backlog.waiting == 1
    assert len(looks) == 1
    clock.now += module.LOOK_AFTER
    scene.turn(1)
    assert len(looks) == 2


def test_a_look_that_failed_is_made_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agenda, "look", failing_once(agenda.look))
    with pytest.raises(OperationalError):
        scene.dispatcher.run_once()
    scene.dispatcher.run_once()
    assert len(scene.idle_for) == 1


def test_idleness_is_counted_from_the_end_of_the_last_task(scene: Scene, clock: Clock) -> None:
    clock.now += 60
    scene.dispatcher.run_once()
    clock.now += 10
    scene.dispatcher.task_ended(Claimed(1, "", "", 0, 0, 0, None, False, 1, 1))
    clock.now += 5
    scene.alarm.agenda_changed()
    scene.dispatcher.run_once()
    assert scene.idle_for == [60, 5]


def test_there_is_no_idleness_before_all_outcomes_are_stored(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = agenda.look

    def look_while_the_last_outcome_is_stored(*arguments: Any) -> agenda.Agenda:
        found = look(*arguments)
        scene.all_stored = True
        return found

    scene.all_stored = False
    monkeypatch.setattr(agenda, "look", look_while_the_last_outcome_is_stored)
    scene.dispatcher.run_once()
    assert scene.idle_for == []  # the outcome may be a retry, which the look did not see
    scene.alarm.agenda_changed()
    scene.dispatcher.run_once()
    assert len(scene.idle_for) == 1


def test_a_task_that_a_worker_may_not_run_is_given_back(scene: Scene) -> None:
    push_many([(noop, (), {})])
    scene.dispatcher.run_once()
    claimed = scene.backlog.take()
    assert claimed
    scene.backlog.done()
    scene.dispatcher.give_back(claimed)
    scene.lease.renewed(asked_at=-1e12)  # it is over, so nothing is claimed
    scene.dispatcher.run_once()
    assert QueuedTasks.objects.ready().count() == 1


def test_what_nobody_began_is_given_back_at_the_end(scene: Scene) -> None:
    push_many([(noop, (), {})] * 2)
    scene.dispatcher.run_once()
    scene.dispatcher.finish()
    assert QueuedTasks.objects.ready().count() == 2


def suspects(number: int) -> None:
    """Push tasks, and have a server die with them of which nobody knows what it ran."""
    dead = leases.register(address="y", port=1, workers=1, queues=None, seconds=30)
    push_many([(noop, (), {})] * number)
    lifecycle.claim(dead.pk, 1, number, None)
    lifecycle.rescue(dead, None, 3, even_if_renewed=True)


def test_one_suspect_at_a_time_is_handed_on(scene: Scene) -> None:
    suspects(3)
    scene.dispatcher.run_once()
    scene.alarm.agenda_changed()
    scene.turn(2)
    assert scene.backlog.waiting == 1
    suspect = scene.backlog.take()
    assert suspect
    assert suspect.suspect
    scene.backlog.done()
    scene.dispatcher.task_ended(suspect)
    scene.turn(2)
    assert scene.backlog.waiting == 1


def test_a_suspect_is_claimed_when_a_worker_can_start_it_and_before_others(scene: Scene) -> None:
    push_many([(noop, (), {})] * 2)
    scene.dispatcher.run_once()
    suspects(1)
    push_many([(noop, (), {})] * 9)
    scene.alarm.agenda_changed()
    scene.turn(2)
    assert scene.backlog.unfinished == 2  # both workers have something to do
    ended = scene.backlog.take()
    assert ended
    scene.backlog.done()
    scene.dispatcher.task_ended(ended)
    scene.dispatcher.run_once()
    assert [task.suspect for task in scene.backlog.drain()] == [False, True]


def test_a_suspect_that_nothing_could_run_is_due_again_later(scene: Scene) -> None:
    suspects(1)
    scene.turn(2)
    suspect = scene.backlog.take()
    assert suspect
    scene.backlog.done()
    scene.dispatcher.put_off(suspect)
    scene.dispatcher.run_once()
    row = QueuedTasks.objects.get()
    assert (row.state, row.owner_id, row.suspect) == (State.DEFERRED, None, True)
    scene.alarm.agenda_changed()
    scene.dispatcher.run_once()
    assert scene.backlog.unfinished == 0


def test_a_suspect_that_is_given_back_makes_way_for_the_next(scene: Scene) -> None:
    suspects(2)
    scene.turn(2)
    suspect = scene.backlog.take()
    assert suspect
    scene.backlog.done()
    scene.dispatcher.give_back(suspect)
    scene.alarm.agenda_changed()
    scene.turn(2)
    assert scene.backlog.waiting == 1


def test_no_server_is_idle_while_suspects_wait(scene: Scene) -> None:
    suspects(1)
    scene.lease.renewed(asked_at=-1e12)  # it may not claim
    scene.dispatcher.run_once()
    assert scene.idle_for == []
