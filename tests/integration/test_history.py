"""What the servers have counted, as the live page reads it."""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from leek import history, lifecycle
from leek.tally import BOUNDS, Tally, slices_of

pytestmark = [pytest.mark.django_db, pytest.mark.any_version]

NOW = datetime(2026, 11, 28, 14, 7, 31, tzinfo=UTC)


def count(
    minutes_ago: int, name: str = "a.b", *, ok: int = 1, failed: int = 0, ran: float = 0.2
) -> None:
    """Store what was counted in a minute: attempts that waited 20 ms and took `ran` seconds."""
    number, tally = ok + failed, Tally(succeeded=ok, failed=failed)
    tally.waited, tally.ran = 0.02 * number, ran * number
    tally.waits[bisect_left(BOUNDS, 0.02)] = tally.runs[bisect_left(BOUNDS, ran)] = number
    minute = NOW.replace(second=0) - timedelta(minutes=minutes_ago)
    lifecycle.add_tallies(slices_of({(minute, name): tally}))


def test_the_hour_has_a_slot_for_each_minute_the_last_one_is_now() -> None:
    count(0, ok=3)
    count(59, ok=5, failed=2)
    count(60, ok=7)
    hour = history.read(NOW).hour
    assert len(hour) == 60
    assert hour[-1].begins_at == NOW.replace(second=0)
    assert [hour[0].tally.attempts, hour[-1].tally.attempts] == [7, 3]
    assert [hour[0].others, hour[-1].others] == [2, 0]


def test_the_day_has_a_slot_for_each_quarter_of_an_hour() -> None:
    count(7)  # 14:00
    count(8)  # 13:59
    count(22)  # 13:45
    count(24 * 60 + 8)
    day = history.read(NOW).day
    assert len(day) == 96
    assert day[-1].begins_at == NOW.replace(minute=0, second=0)
    assert [slot.tally.attempts for slot in day] == [0] * 94 + [2, 1]


def test_a_slot_without_a_server_has_no_attempts_and_no_times() -> None:
    count(0)
    before, now = history.read(NOW).hour[-2:]
    assert (before.tally.attempts, before.wait(0.5), before.run(0.95)) == (0, None, None)
    assert 0.01 < (now.wait(0.5) or 0) <= 0.025
    assert 0.1 < (now.run(0.95) or 0) <= 0.25


def test_the_slowest_and_the_most_failing_names_come_first() -> None:
    count(0, "quick", ok=9, ran=0.01)
    count(70, "slow", ok=1, ran=20)
    count(130, "slow", ok=0, failed=1, ran=40)
    count(0, "bad", ok=2, failed=6, ran=0.5)
    told = history.read(NOW)
    assert [each.name for each in told.slowest] == ["slow", "bad", "quick"]
    assert [(each.name, each.failed) for each in told.failing] == [("bad", 6), ("slow", 1)]
    slow = told.slowest[0]
    assert (slow.attempts, slow.mean, slow.failed_share) == (2, 30, 0.5)
    assert 30 < (slow.slow or 0) <= 60


def test_no_quantile_is_more_than_all_attempts_took_together() -> None:
    count(0, "export", ok=1, ran=31)
    told = history.read(NOW)
    assert (told.slowest[0].mean, told.slowest[0].slow) == (31, 31)
    assert (told.hour[-1].run(0.95), told.hour[-1].wait(0.95)) == (31, 0.02)


def test_the_share_of_failures_does_not_depend_on_the_number_of_tries() -> None:
    minute = NOW.replace(second=0)
    tally = Tally(retried=2, failed=1, runs=[3, *[0] * len(BOUNDS)])
    lifecycle.add_tallies(slices_of({(minute, "always fails"): tally}))
    assert history.read(NOW).failing[0].failed_share == 1


def test_what_is_older_than_a_day_is_not_told() -> None:
    count(26 * 60, "old", failed=1)
    told = history.read(NOW)
    assert (told.slowest, told.failing) == ([], [])


def test_few_names_are_told_of_many_in_one_statement() -> None:
    minute = NOW.replace(second=0)
    tally = Tally(succeeded=1, failed=1, runs=[2, *[0] * len(BOUNDS)])
    lifecycle.add_tallies(slices_of({(minute, f"name {each}"): tally for each in range(20)}))
    with CaptureQueriesContext(connection) as made:
        told = history.read(NOW)
    assert len(made) == 1
    assert len(told.slowest) == len(told.failing) == history.MOST_NAMES


def test_those_with_failures_are_read_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MINUTES", 1)
    monkeypatch.setattr(history, "MOST_ROWS", 2)
    count(0, "long", ran=1000)
    count(0, "short", ran=0.01)
    count(0, "bad", failed=1, ran=0.01)
    assert {each.name for each in history.read(NOW).slowest} == {"bad", "long"}
