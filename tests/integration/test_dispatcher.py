"""The dispatcher, turn by turn, on a real database."""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from leek import agenda, leases, lifecycle
from leek.api import pause_queue, push_many, resume_queue, using
from leek.celery import windows as of_windows
from leek.celery.broker import Broker, QueueRefused
from leek.celery.relay import Relay
from leek.celery.relay_claimer import RelayClaimer
from leek.celery.relayed import Relayed
from leek.celery.windows import Windows
from leek.models import QueuedTasks, State
from leek.outcome import Claimed
from leek.queues import Queues
from leek.server import dispatcher as module
from leek.server import timetable
from leek.server.alarm import Alarm
from leek.server.backlog import Backlog
from leek.server.claimer import Claimer
from leek.server.dispatcher import Dispatcher
from leek.server.forwarder import Forwarder
from leek.server.heartbeat import Lease
from leek.server.options import ClaimOptions
from leek.server.pace import Pace
from leek.server.room import STALLED_SOON
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
    """A dispatcher for two workers, or one that relays, and all that it works with."""

    def __init__(self, queues: Queues = None, windows: Windows | None = None) -> None:
        server = leases.register(address="x", port=1, workers=2, queues=None, seconds=30)
        self.lease = Lease(server, 30, asked_at=1e12)
        self.backlog = Backlog(queues if isinstance(queues, dict) else {})
        self.alarm = Alarm()
        self.pace = windows or Pace(2)
        self.forwarder = Forwarder(Outage(), server.boot, queues, on_idle=self.alarm.ring)
        self.idle_for: list[float] = []
        self.all_stored = True
        self.dispatcher = Dispatcher(
            Outage(),
            ClaimOptions(workers=2, queues=queues, poll_interval=3600, max_tasks=None),
            self.lease,
            self.backlog,
            self.pace,
            self.alarm,
            nullcontext(),
            self.forwarder,
            build_claimer=partial(RelayClaimer, windows=windows) if windows else Claimer,
            is_all_stored=lambda: self.all_stored,
            on_dead_servers=lambda: None,
            on_blocked=lambda: False,
            on_lost_lease=lambda: None,
            on_idle=self.idle_for.append,
            on_room=lambda: None,
            on_exhausted=lambda: None,
        )

    def run(self, number: int) -> list[str]:
        """Have tasks begin and end one by one; return their queues in order."""
        begun = []
        for _ in range(number):
            self.turn(1)
            task = self.backlog.take()
            assert task
            begun.append(task.id)
            self.backlog.done()
            self.dispatcher.task_ended(task)
        queues = QueuedTasks.objects.in_bulk(begun)
        return [queues[pk].queue for pk in begun]

    def relay(self, windows: Windows, broker: Broker) -> Relay:
        """Return what relays the tasks."""
        return Relay(
            Outage(),
            self.lease,
            self.backlog,
            windows,
            broker,
            Relayed(),
            give_back=self.dispatcher.give_back,
            on_sent=self.dispatcher.suspect_is_elsewhere,
            on_first=lambda: None,
            on_return=lambda away_since: None,
            on_end=lambda: None,
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
    for each in (module, timetable):
        monkeypatch.setattr(each, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def scene(clock: Clock) -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.forwarder.stop()


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
    assert waits == [pytest.approx(timetable.GATHERING)]


def test_a_task_that_comes_after_a_rest_is_claimed_at_once(
    scene: Scene, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.dispatcher.run_once()  # finds nothing
    monkeypatch.setattr(scene.dispatcher.stopping, "wait", pytest.fail)
    clock.now += timetable.GATHERING
    push_many([(noop, (), {})])
    scene.alarm.work_is_ready()
    scene.dispatcher.run_once()
    assert scene.backlog.waiting == 1


def test_what_is_due_and_locked_is_tried_again_after_a_pause(
    scene: Scene, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def find_all_locked(*arguments: object) -> int:
        tries.append(arguments)
        return 0

    monkeypatch.setattr(lifecycle, "promote", find_all_locked)
    using(run_after=timedelta(hours=1)).push(noop)
    QueuedTasks.objects.update(run_after=timezone.now() - timedelta(seconds=1))
    scene.turn(5)
    assert len(tries) == 1
    clock.now += timetable.LOOK_WHILE_LOCKED
    scene.turn(5)
    assert len(tries) == 2
    assert not scene.idle_for


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
    clock.now += timetable.LOOK_AFTER
    scene.turn(1)
    assert len(looks) == 2


@pytest.mark.parametrize("is_alone", [True, False])
def test_who_may_not_be_known_to_siblings_yet_looks_often(
    scene: Scene, clock: Clock, monkeypatch: pytest.MonkeyPatch, is_alone: bool
) -> None:
    looks: list[float] = []
    look = agenda.look

    def noted_look(*arguments: Any) -> agenda.Agenda:
        looks.append(clock.now)
        return look(*arguments)

    monkeypatch.setattr(agenda, "look", noted_look)
    if not is_alone:
        leases.register(address="y", port=1, workers=1, queues=None, seconds=30)
    scene.dispatcher.run_once()
    seen = []
    for seconds in (timetable.LOOK_WHILE_NEW + 0.001, timetable.NEW_FOR, timetable.NEW_FOR):
        clock.now += seconds
        scene.turn(2)
        seen.append(len(looks))
    assert seen == ([1, 1, 1] if is_alone else [2, 3, 3])


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
    scene.dispatcher.task_ended(Claimed(1, "", "", 0, 0, 0, None, False, 0.0, timezone.now(), 1, 1))
    clock.now += 5
    scene.alarm.agenda_changed()
    scene.dispatcher.run_once()
    assert scene.idle_for == pytest.approx([60, 5])


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


class Siblings:
    """Stands for a forwarder that notes what it is told, where a sibling may have room."""

    has_siblings = may_find_room = True

    def __init__(self) -> None:
        self.told = 0

    def surplus(self) -> None:
        """Note that."""
        self.told += 1

    def found_siblings(self, found: bool) -> None:
        """Know better."""


@pytest.fixture
def siblings(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Siblings:
    """Return the siblings of the dispatcher's server."""
    siblings = Siblings()
    for part in (scene.dispatcher, scene.dispatcher._room):
        monkeypatch.setattr(part, "_forwarder", siblings)
    return siblings


def test_siblings_are_told_once_of_what_there_is_no_room_for(
    scene: Scene, siblings: Siblings
) -> None:
    push_many([(noop, (), {})] * 5)
    scene.turn(3)
    assert siblings.told == 1
    scene.alarm.work_is_offered()  # whoever offers it has told the others
    scene.turn(3)
    assert siblings.told == 1
    scene.alarm.work_is_ready()
    scene.turn(3)
    assert siblings.told == 2


def test_siblings_are_not_told_of_what_was_claimed(scene: Scene, siblings: Siblings) -> None:
    push_many([(noop, (), {})])
    scene.turn(3)
    assert siblings.told == 0


def test_siblings_are_told_where_the_database_fails(
    scene: Scene, siblings: Siblings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "claim", failing_once(lifecycle.claim))
    with pytest.raises(OperationalError):
        scene.dispatcher.run_once()
    assert siblings.told == 1


def test_siblings_are_told_where_the_lease_may_be_over(scene: Scene, siblings: Siblings) -> None:
    scene.lease.renewed(asked_at=-1e12)
    scene.dispatcher.run_once()
    assert siblings.told == 1
    assert not scene.dispatcher.can_claim


def test_less_is_claimed_ahead_where_a_sibling_may_have_room(
    scene: Scene, siblings: Siblings
) -> None:
    scene.pace.record(0.02)
    push_many([(noop, (), {})] * 20)
    scene.run(10)
    assert scene.backlog.waiting <= 2
    siblings.may_find_room = False
    scene.run(3)
    assert scene.backlog.waiting > 2


def test_what_waits_behind_slow_tasks_is_given_back_soon_where_a_sibling_may_have_room(
    scene: Scene, clock: Clock, siblings: Siblings
) -> None:
    push_many([(noop, (), {})] * 2)
    scene.turn(1)
    for _ in range(2):
        scene.backlog.take()
    push_many([(noop, (), {})] * 2)
    scene.backlog.put(lifecycle.claim(scene.lease.server_id, 99, 2, None))
    clock.now = scene.backlog.last_moved + 2 * STALLED_SOON
    siblings.may_find_room = False
    scene.turn(1)
    assert scene.backlog.waiting == 2
    told = siblings.told
    siblings.may_find_room = True
    scene.turn(1)
    assert QueuedTasks.objects.ready().count() == 2
    assert siblings.told == told + 1


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


def test_siblings_are_told_where_a_suspect_gets_the_worker_that_an_offer_was_taken_for(
    scene: Scene, siblings: Siblings
) -> None:
    push_many([(noop, (), {})])
    scene.turn(1)
    scene.backlog.take()
    suspects(1)
    scene.alarm.agenda_changed()
    scene.turn(1)
    told = siblings.told
    push_many([(noop, (), {})])
    assert scene.dispatcher.has_room
    scene.alarm.work_is_offered()
    scene.turn(1)
    assert siblings.told == told + 1


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


def test_suspects_that_none_could_be_claimed_of_are_left_to_a_later_look(
    scene: Scene, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspects(1)
    tries: list[object] = []

    def claim_none(*arguments: object) -> list[Claimed]:
        tries.append(arguments)
        return []

    monkeypatch.setattr(lifecycle, "claim_suspect", claim_none)
    for _ in range(9):
        scene.turn(1)
        clock.now += 1
    assert len(tries) == 1
    clock.now += 3600
    scene.turn(2)
    assert len(tries) == 2
    assert scene.idle_for == []


def test_no_server_is_idle_while_suspects_wait(scene: Scene) -> None:
    suspects(1)
    scene.lease.renewed(asked_at=-1e12)  # it may not claim
    scene.dispatcher.run_once()
    assert scene.idle_for == []


# Queues with patterns and weights


def push_to(queue: str, number: int, priority: int = 0) -> None:
    """Push tasks to a queue."""
    using(queue=queue, priority=priority).push_many([(noop, (), {})] * number)


def statements(scene: Scene) -> list[str]:
    """Return the statements of a turn that claims."""
    scene.alarm.work_is_ready()
    with CaptureQueriesContext(connection) as queries:
        scene.dispatcher.run_once()
    return [query["sql"] for query in queries]


def claims_of(found: list[str]) -> list[str]:
    """Keep the statements that choose what to claim."""
    return [sql for sql in found if "priority" in sql and "ORDER BY" in sql]


def test_without_weights_tasks_start_by_priority_whatever_their_queue(clock: Clock) -> None:
    scene = Scene(["first", "sec*"])
    push_to("first", 3)
    push_to("second", 2, priority=1)
    push_to("third", 2, priority=2)
    assert scene.run(5) == ["second"] * 2 + ["first"] * 3


def test_a_flood_shares_with_the_others_by_weight_when_tasks_are_claimed_singly(
    clock: Clock,
) -> None:
    scene = Scene({"flood": 3, "mail-*": 1})
    push_to("flood", 40, priority=9)
    push_to("mail-a", 4)
    push_to("mail-b", 1)
    order = scene.run(20)
    assert order.count("flood") == 15
    assert sorted(set(order)) == ["flood", "mail-a", "mail-b"]


def test_a_flood_that_is_claimed_by_the_hundred_shares_as_well(clock: Clock) -> None:
    scene = Scene({"flood": 1, "mail": 1})
    push_to("flood", 300)
    for _ in range(9):
        scene.pace.record(0.001)
    assert scene.run(50) == ["flood"] * 50
    push_to("mail", 10)
    scene.alarm.work_is_ready()
    assert scene.backlog.waiting > 20  # of the flood
    assert scene.run(30).count("mail") == 10


def test_what_one_queue_leaves_of_its_share_is_for_the_others(clock: Clock) -> None:
    scene = Scene({"empty": 97, "short": 2, "flood": 1})
    push_to("flood", 9)
    push_to("short", 1)
    scene.turn(1)
    assert scene.backlog.waiting == 2
    assert sorted(scene.run(10)) == ["flood"] * 9 + ["short"]


def test_a_queue_counts_for_the_first_entry_that_it_is_like(clock: Clock) -> None:
    scene = Scene({"mail-urgent": 1, "mail-*": 1})
    push_to("mail-slow", 30, priority=9)
    push_to("mail-urgent", 5)
    assert scene.run(10).count("mail-urgent") == 5


def test_entries_are_served_in_their_own_letters_only(clock: Clock) -> None:
    scene = Scene({"mail-*": 1, "Slow": 1})
    for queue in ("MAIL-A", "mail-a", "Mail-a", "slow", "Slow", "SLOW"):
        push_to(queue, 2, priority=len(queue) if queue.isupper() else 0)
    assert sorted(scene.run(4)) == ["Slow", "Slow", "mail-a", "mail-a"]
    assert QueuedTasks.objects.ready().count() == 8


def test_nobody_asks_for_tasks_of_an_entry_that_has_none(clock: Clock) -> None:
    scene = Scene({"empty": 5, "mail-*": 1, "other": 1})
    scene.turn(2)
    assert not claims_of(statements(scene))
    push_to("mail-a", 1)
    assert len(claims_of(statements(scene))) == 1


def test_without_weights_a_claim_is_the_only_statement_before_the_task(clock: Clock) -> None:
    scene = Scene(["mail", "other"])
    scene.turn(2)
    push_to("mail", 1)
    claim, *_ = [sql for sql in statements(scene) if "SAVEPOINT" not in sql]
    assert claims_of([claim])


def test_what_was_claimed_before_the_database_failed_is_run(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene({"one": 1, "other": 1})
    push_to("one", 1)
    push_to("other", 1)
    claim = lifecycle.claim
    calls: list[Any] = []

    def fail_the_second_time(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise OperationalError("server closed the connection unexpectedly")
        return claim(*arguments)

    monkeypatch.setattr(lifecycle, "claim", fail_the_second_time)
    with pytest.raises(OperationalError):
        scene.dispatcher.run_once()
    assert scene.backlog.waiting == 1
    scene.turn(1)
    assert scene.backlog.waiting == 2


def test_what_is_given_back_does_not_count_for_the_shares(clock: Clock) -> None:
    scene = Scene({"one": 1, "other": 1})
    push_to("one", 20)
    scene.turn(1)
    scene.backlog.last_moved = 0.0  # the workers are busy with slow tasks
    scene.turn(1)
    push_to("other", 20)
    assert sorted(scene.run(4)) == ["one", "one", "other", "other"]


# Paused queues


@pytest.mark.parametrize("queues", [None, ["mail", "news"], ["mai*", "n*"], {"mail": 2, "n*": 1}])
def test_nothing_is_claimed_of_a_queue_that_was_paused_before_the_start(
    clock: Clock, queues: Queues
) -> None:
    scene = Scene(queues)
    push_to("mail", 2, priority=9)
    push_to("news", 1)
    pause_queue("mail")
    assert scene.run(1) == ["news"]
    scene.turn(2)
    assert QueuedTasks.objects.ready().count() == 2


def test_a_queue_is_paused_and_goes_on_with_the_next_look(scene: Scene) -> None:
    push_to("mail", 1)
    assert scene.run(1) == ["mail"]
    pause_queue("mail")
    scene.alarm.agenda_changed()
    scene.turn(2)
    push_to("mail", 1)
    scene.alarm.work_is_ready()
    scene.turn(2)
    assert scene.backlog.is_done
    resume_queue("mail")
    scene.alarm.work_is_ready()  # as its hint does
    scene.turn(1)
    scene.alarm.agenda_changed()
    scene.turn(2)
    assert scene.backlog.waiting == 1


def test_a_server_is_idle_when_only_paused_queues_have_work(scene: Scene) -> None:
    push_to("mail", 1)
    make_suspect(using(queue="mail").push(noop))
    pause_queue("mail")
    scene.turn(3)
    assert len(scene.idle_for) > 0
    assert scene.backlog.is_done


def test_a_suspect_of_another_queue_is_claimed_beside_a_paused_one(scene: Scene) -> None:
    make_suspect(using(queue="mail", priority=9).push(noop))
    other = make_suspect(using(queue="news").push(noop))
    pause_queue("mail")
    scene.turn(3)
    assert [row.pk for row in QueuedTasks.objects.running()] == [other.pk]


def test_a_queue_is_paused_in_its_own_letters_where_the_database_tells_them_apart(
    scene: Scene,
) -> None:
    push_to("Mail", 1)
    pause_queue("mail")
    scene.turn(2)
    takes_alike = connection.vendor == "mysql"
    assert scene.backlog.is_done == takes_alike


def make_suspect(row: QueuedTasks) -> QueuedTasks:
    """Let a task be one that a server died of, perhaps."""
    QueuedTasks.objects.filter(pk=row.pk).update(state=State.DEFERRED, suspect=True)
    return row


def test_the_few_tasks_that_end_during_a_claim_are_no_reason_for_another_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = scene.backlog.put

    def put_while_one_ends(claimed: list[Claimed], lane: str | None = None) -> None:
        put(claimed, lane)
        scene.backlog.take()
        scene.backlog.done()

    monkeypatch.setattr(scene.backlog, "put", put_while_one_ends)
    scene.pace.record(0.01)
    scene.pace.claimed(20, 0.001)
    push_many([(noop, (), {})] * 40)
    scene.turn(1)
    claims = QueuedTasks.objects.running().values_list("claim", flat=True)
    assert (len(claims), len(set(claims))) == (22, 1)


# A server that relays


class RefusingBroker(Broker):
    """Takes messages of no queue, and counts them."""

    def __init__(self) -> None:
        self.asked = 0

    def send(self, claimed: Claimed, queue: str) -> None:
        """Refuse a message."""
        self.asked += 1
        raise QueueRefused(queue)


@pytest.mark.logs_errors
def test_a_suspect_of_a_queue_that_the_broker_refuses_is_tried_once_and_holds_up_no_other(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_windows, "CLOSED_FOR", 3600.0)
    windows, broker = Windows(60), RefusingBroker()
    scene = Scene(windows=windows)
    relay = scene.relay(windows, broker)
    for _ in range(3):
        make_suspect(using(queue="mail").push(noop))
    for _ in range(9):
        scene.alarm.agenda_changed()
        scene.turn(2)
        if scene.backlog.waiting:
            relay.run_once()
    assert broker.asked == 1
    push_to("news", 1)
    scene.alarm.work_is_ready()
    scene.turn(1)
    assert [row.queue for row in QueuedTasks.objects.running()] == ["news"]
    scene.forwarder.stop()
