"""When recurring tasks are due, and for which of the due times that were missed they are pushed."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest

from leek.schedule import EPOCH, GRACE, MOST_AT_ONCE, Cron, Every, Schedule

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def every(seconds: float, catch_up: str = "latest") -> Schedule:
    """Return the schedule of a task that recurs after so many seconds."""
    return Schedule("x", "shop.tasks.x", Every(timedelta(seconds=seconds)), catch_up=catch_up)


def cron(expression: str, zone: ZoneInfo = BERLIN, catch_up: str = "latest") -> Schedule:
    """Return the schedule of a task that recurs as a cron expression says."""
    return Schedule("x", "shop.tasks.x", Cron(expression, zone), catch_up=catch_up)


def next_due(schedule: Schedule, start: datetime, number: int) -> list[datetime]:
    """Return the next due times after a moment, each found from the one before."""
    found = [start]
    for _ in range(number):
        found.append(schedule.next_due(found[-1]) or EPOCH)
    return found[1:]


def in_berlin(times: list[datetime]) -> list[str]:
    """Return times as the clocks of Berlin show them."""
    return [f"{time.astimezone(BERLIN):%d %H:%M %Z}" for time in times]


# Every so many seconds


@pytest.mark.parametrize("seconds", [60, 3600, 7, 0.5, 0.1, 86_400 * 7])
def test_an_interval_is_counted_from_the_epoch(seconds: float) -> None:
    interval = timedelta(seconds=seconds)
    due = next_due(every(seconds), NOON + timedelta(microseconds=1), 3)
    assert [(time - EPOCH) % interval for time in due] == [timedelta()] * 3
    assert due[0] - NOON <= interval
    assert [after - before for before, after in pairwise(due)] == [interval] * 2


def test_a_due_time_is_not_after_itself() -> None:
    assert every(60).next_due(NOON) == NOON + timedelta(seconds=60)
    assert cron("0 12 * * *", ZoneInfo("UTC")).next_due(NOON) == NOON + timedelta(days=1)


def test_an_interval_that_no_second_holds_does_not_drift() -> None:
    (late,) = islice(Every(timedelta(milliseconds=300)).after(NOON), 9_999, 10_000)
    assert late == NOON + 10_000 * timedelta(milliseconds=300)


# Cron, and clocks that change


def test_cron_goes_by_the_clocks_of_its_zone() -> None:
    winter, summer = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
    daily = cron("0 3 * * *")
    assert daily.next_due(winter) == winter.replace(hour=2)
    assert daily.next_due(summer) == summer.replace(hour=1)


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("30 2 * * *", ["29 03:00 CEST", "30 02:30 CEST"]),
        ("0 3 * * *", ["29 03:00 CEST", "30 03:00 CEST"]),
        ("30 * * * *", ["29 00:30 CET", "29 01:30 CET", "29 03:30 CEST"]),
    ],
)
def test_what_the_clocks_skip_in_spring_is_due_when_they_have_skipped_it(
    expression: str, due: list[str]
) -> None:
    evening = datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert in_berlin(next_due(cron(expression), evening, len(due))) == due


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("30 2 * * *", ["25 02:30 CEST", "26 02:30 CET"]),
        ("0 3 * * *", ["25 03:00 CET", "26 03:00 CET"]),
        ("30 * * * *", ["25 00:30 CEST", "25 01:30 CEST", "25 02:30 CEST", "25 02:30 CET"]),
    ],
)
def test_what_the_clocks_repeat_in_autumn_is_due_once_unless_hourly(
    expression: str, due: list[str]
) -> None:
    evening = datetime(2026, 10, 24, 22, tzinfo=UTC)
    assert in_berlin(next_due(cron(expression), evening, len(due))) == due


@pytest.mark.parametrize("minutes", range(0, 60, 7))
def test_nothing_is_due_again_in_the_hour_that_comes_twice(minutes: int) -> None:
    second_time = datetime(2026, 10, 25, 1, minutes, tzinfo=UTC)  # 02:xx for the second time
    daily = cron("30 2 * * *")
    assert in_berlin(next_due(daily, second_time, 1)) == ["26 02:30 CET"]
    missed = daily.to_push(second_time - timedelta(days=1), second_time)
    assert in_berlin(missed) == ["25 02:30 CEST"]


def test_each_due_time_is_the_same_from_wherever_it_is_looked_for() -> None:
    for expression in ("30 2 * * *", "30 * * * *", "*/20 2,3 * * *"):
        recurring = cron(expression, catch_up="all")
        for change in (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)):
            end = change + timedelta(hours=6)
            everything = recurring.to_push(change - timedelta(hours=6), end)
            for minutes in range(-300, 360, 11):
                start = change + timedelta(minutes=minutes)
                later = [due for due in everything if due > start]
                assert recurring.to_push(start, end) == later


def test_a_day_that_never_comes_is_never_due() -> None:
    assert cron("0 0 */29 2 MON#5").next_due(NOON) is None
    assert cron("0 0 */29 2 MON#5").to_push(NOON, NOON + timedelta(days=3)) == []


# What was missed


def test_what_is_not_due_yet_is_not_pushed() -> None:
    for catch_up in ("latest", "all", "none"):
        assert every(60, catch_up).to_push(NOON, NOON + timedelta(seconds=59)) == []


def test_what_has_just_become_due_is_pushed() -> None:
    due = NOON + timedelta(seconds=60)
    for catch_up in ("latest", "all", "none"):
        assert every(60, catch_up).to_push(NOON, due) == [due]


def test_latest_pushes_once_however_much_was_missed() -> None:
    now = NOON + timedelta(days=400, seconds=59)
    assert every(60).to_push(NOON, now) == [NOON + timedelta(days=400)]
    assert cron("0 0 1 1 *", ZoneInfo("UTC")).to_push(NOON, now) == [
        datetime(2027, 1, 1, tzinfo=UTC)
    ]


def test_all_pushes_for_each_due_time_in_order() -> None:
    expected = [NOON + timedelta(hours=hour) for hour in range(1, 6)]
    assert every(3600, "all").to_push(NOON, expected[-1]) == expected
    assert cron("0 * * * *", catch_up="all").to_push(NOON, expected[-1]) == expected


def test_all_pushes_for_a_thousand_due_times_at_most_the_latest_ones() -> None:
    now = NOON + timedelta(days=30)
    for schedule in (every(60, "all"), cron("* * * * *", catch_up="all")):
        due = schedule.to_push(NOON, now)
        assert len(due) == MOST_AT_ONCE == 1000
        assert (due[0], due[-1]) == (now - timedelta(minutes=999), now)


def test_none_pushes_only_for_a_due_time_that_has_just_been() -> None:
    hourly = every(3600, "none")
    due = NOON + timedelta(hours=5)
    assert hourly.to_push(NOON, due + GRACE) == []
    assert hourly.to_push(NOON, due + GRACE - timedelta(seconds=1)) == [due]
    assert every(1, "none").to_push(NOON, due) == [due]


def test_nothing_is_pushed_twice_when_the_clock_was_set_back() -> None:
    for catch_up in ("latest", "all", "none"):
        assert every(60, catch_up).to_push(NOON, NOON - timedelta(hours=1)) == []
