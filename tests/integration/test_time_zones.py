"""The database's clock and Django's tell the same time, whatever zone a site stores times in."""

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.management.base import CommandError
from django.db import connection
from django.test import override_settings
from django.test.signals import update_connections_time_zone
from django.utils import timezone

from leek import agenda, leases, lifecycle, status
from leek.api import push_task_to_queue, using
from leek.database import Now
from leek.models import QueuedTasks, Schedules, Servers, State, Tallies
from leek.outcome import Claimed, Success
from leek.schedule import Cron, Schedule
from leek.server.counts import Counts
from leek.server.scheduler import Scheduler
from leek.server.service import Outage
from leek.tally import EVER, MINUTE, slices_of
from tests.site.tasks import noop
from tests.support import finish, run, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

ZONES = ["UTC", "Asia/Tokyo", "America/St_Johns", "Pacific/Kiritimati"]  # +0, +9, -3:30, +14


@pytest.fixture(autouse=True)
def a_session_in_another_zone() -> Iterator[None]:
    """Have a MySQL server whose own zone is not Django's; the others' is set by Django."""
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+05:00'")
    yield
    connection.close()


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the zone of a site that stores local times."""
    with override_settings(USE_TZ=False, TIME_ZONE=request.param):
        yield request.param


@pytest.fixture
def zone_of_others() -> Iterator[None]:
    """Have times stored with USE_TZ, but in the zone that another program wants."""
    store_in("Asia/Tokyo")
    yield
    store_in(None)


def store_in(zone: str | None) -> None:
    """Set the TIME_ZONE of the database, and let Django see it."""
    connection.settings_dict["TIME_ZONE"] = zone
    update_connections_time_zone(setting="USE_TZ")


def assert_the_clocks_agree() -> None:
    """Compare the database's clock with Django's."""
    server = leases.register(address="x", port=1, workers=1, queues=None, seconds=30)
    server.refresh_from_db()
    read = Servers.objects.values_list(Now(), flat=True).get()
    for time in (server.started_at, server.expires_at - timedelta(seconds=30), read):
        assert abs(timezone.now() - time) < timedelta(seconds=10)
    using(run_after=timedelta(seconds=100)).push(noop)
    assert agenda.look(server.pk, None).next_due == pytest.approx(100, abs=10)
    (found,) = status.figures().servers
    assert found.port == 1


class TestClocks:
    """What is due is due for the database as for Django."""

    def test_agree_with_use_tz(self, port: int) -> None:
        assert_the_clocks_agree()

    def test_agree_without_use_tz(self, zone: str, port: int) -> None:
        assert_the_clocks_agree()

    def test_agree_where_the_database_has_a_time_zone(
        self, zone_of_others: None, port: int
    ) -> None:
        assert_the_clocks_agree()

    def test_let_a_deferred_task_become_due(self, zone: str, port: int) -> None:
        row = using(run_after=timedelta(hours=1)).push(noop)
        assert not QueuedTasks.objects.due().exists()
        QueuedTasks.objects.update(run_after=timezone.now() - timedelta(seconds=2))
        assert QueuedTasks.objects.due().get() == row
        assert status.waiting() == lifecycle.promote(None, 9) == 1


class TestSchedules:
    """What recurs is due at the same times, and is pushed once, with and without USE_TZ."""

    def test_are_pushed_and_shown_in_the_sites_time(self, zone: str, port: int) -> None:
        daily = Schedule("x", "tests.site.tasks.noop", Cron("30 3 * * *", ZoneInfo(zone)))
        Schedules.objects.create(name="x", due_at=timezone.now() - timedelta(days=2))
        scheduler = Scheduler(Outage(), [daily], "auto", nullcontext(), on_push=lambda: None)
        for _ in range(2):
            scheduler.wake()
            scheduler.run_once()
        row = QueuedTasks.objects.get()
        assert f"{row.run_after:%H:%M:%S}" == "03:30:00"
        assert timedelta() <= timezone.now() - row.run_after < timedelta(days=1)
        assert Schedules.objects.get().due_at == row.run_after
        entry = {"task": daily.task, "cron": "30 3 * * *"}
        with override_settings(TASKS_QUEUE={"SCHEDULE": {"x": entry}}):
            (found,) = status.figures().schedules
        assert [f"{time:%H:%M}" for time in (found.next_due, found.last_due) if time] == [
            "03:30",
            "03:30",
        ]

    def test_begin_at_the_databases_present(self, zone: str, port: int) -> None:
        lifecycle.begin_schedules(["x"])
        (found,) = agenda.handled(["x"])
        for time in (found.due_at, found.now):
            assert abs(datetime.now(UTC) - time) < timedelta(seconds=10)


class TestSince:
    """leek_retry_failed --since, with and without USE_TZ."""

    @pytest.mark.parametrize(("hours", "pushed"), [(1, 0), (3, 1)])
    def test_means_the_sites_time(self, zone: str, hours: int, pushed: int, port: int) -> None:
        finish(
            [push_task_to_queue(noop)],
            error="ValueError",
            ended=timezone.now() - timedelta(hours=2),
        )
        since = timezone.now() - timedelta(hours=hours)
        with_zone = since.astimezone(ZoneInfo("Asia/Kathmandu")).isoformat()
        would = f"Would push back {pushed} tasks.\n"
        for text in (f"{since:%Y-%m-%dT%H:%M}", with_zone):
            assert run("leek_retry_failed", "--dry-run", f"--since={text}") == would

    def test_takes_a_date(self, zone: str, port: int) -> None:
        finish([push_task_to_queue(noop)], error="ValueError")
        assert run("leek_retry_failed", "--since", "2026-01-01") == "Pushed back 1 tasks.\n"

    @override_settings(TIME_ZONE="Asia/Tokyo")
    def test_refuses_a_time_that_no_database_knows(self) -> None:
        with pytest.raises(CommandError, match="--since: 0001-01-01 is not a time"):
            run("leek_retry_failed", "--since=0001-01-01")


class TestWaits:
    """How long a task had been due when it began, as a server counts it."""

    def assert_it_is_short(self) -> None:
        push_task_to_queue(noop)
        using(run_after=timedelta(seconds=0.001)).push(noop)
        server = leases.register(address="x", port=1, workers=1, queues=None, seconds=30)
        claimed: list[Claimed] = []

        def both_are_claimed() -> bool:
            lifecycle.promote(None, 9)
            claimed.extend(lifecycle.claim(server.pk, len(claimed) + 1, 9, None))
            return len(claimed) == 2

        wait_until(both_are_claimed, "the deferred task")
        now = timezone.now()
        for task in claimed:
            assert 0 <= task.waited < 10
        counts = Counts()
        counts.count(Success(task, now, now, None) for task in claimed)
        for (minute, _), tally in counts.take().items():
            assert abs(datetime.now(UTC) - minute) < timedelta(seconds=120)
            assert 0 <= tally.waited < 20

    def test_is_right_with_use_tz(self, port: int) -> None:
        self.assert_it_is_short()

    def test_is_right_without_use_tz(self, zone: str, port: int) -> None:
        self.assert_it_is_short()

    def test_is_right_where_the_database_has_a_time_zone(
        self, zone_of_others: None, port: int
    ) -> None:
        self.assert_it_is_short()

    def test_is_stored_and_forgotten_in_the_right_slices(self, zone: str, port: int) -> None:
        now = timezone.now()
        claimed = Claimed(1, "a", "", 0, 0, 0, None, False, 0.0, now, 1, 1)
        counts = Counts()
        for ended in (now, now - timedelta(hours=26)):
            counts.count([Success(claimed, ended, ended, None)])
        lifecycle.add_tallies(slices_of(counts.take()))
        assert lifecycle.forget_tallies() == 2
        assert Tallies.objects.count() == 3
        assert Tallies.objects.get(period=EVER).succeeded == 2
        newest = Tallies.objects.get(period=MINUTE).begins_at
        assert timedelta() <= timezone.now() - newest < timedelta(seconds=120)

    def test_is_counted_in_the_right_slice_by_a_rescue(self, zone: str, port: int) -> None:
        row = push_task_to_queue(noop)
        leases.register(address="x", port=1, workers=1, queues=None, seconds=-1)
        dead = Servers.objects.get()
        lifecycle.claim(dead.pk, 1, 1, None)
        lifecycle.rescue(dead, {row.pk}, 3)
        newest = Tallies.objects.get(period=MINUTE)
        assert timedelta() <= timezone.now() - newest.begins_at < timedelta(seconds=120)
        assert newest.crashed == 1


def test_figures_tell_times_with_their_zone_as_json(zone: str) -> None:
    """Whatever a site stores, a program has to know when it was."""
    leases.register(address="127.0.0.1", port=1, workers=1, queues=None, seconds=300)
    row = push_task_to_queue(noop)
    QueuedTasks.objects.filter(pk=row.pk).update(state=State.BLOCKED, blocked_by="smtp")
    lifecycle.note_outage("smtp", "refused")
    figures = status.figures()
    (gate,), (server,) = figures.gates, figures.servers
    times = [gate.since, datetime.fromisoformat(server.started_at)]
    now = datetime.now(UTC)
    assert all(time and abs(now - time) < timedelta(minutes=5) for time in times)
