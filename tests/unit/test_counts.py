"""What was counted of attempts, and is not stored yet."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.test import override_settings

from leek.outcome import Blocked, Claimed, Success
from leek.server import counts
from leek.server.counts import Counts

TIME = datetime(2026, 11, 28, 14, 2, 59, tzinfo=UTC)
MINUTE = TIME.replace(second=0)


def success(name: str = "a", ended: datetime = TIME, waited: float = 0.0) -> Success:
    """Return the outcome of an attempt of a second."""
    began = ended - timedelta(seconds=1)
    claimed = Claimed(7, name, "payload", 0, 0, 0, None, False, waited, began, 1, 1)
    return Success(claimed, began, ended, None)


def numbers(of: Counts) -> dict[tuple[datetime, str], int]:
    """Take what is counted, and return how many attempts succeeded."""
    return {key: tally.succeeded for key, tally in of.take().items()}


def test_attempts_are_counted_by_minute_and_name() -> None:
    counted = Counts()
    next_minute = TIME + timedelta(seconds=1)
    counted.count([success("a"), success("b"), success("a")])
    counted.count([success("a", next_minute), success("a")])
    assert numbers(counted) == {(MINUTE, "a"): 3, (MINUTE, "b"): 1, (next_minute, "a"): 1}
    assert counted.is_empty


def test_what_was_taken_is_not_counted_again() -> None:
    counted = Counts()
    counted.count([success()])
    counted.take()
    counted.count([success()])
    assert numbers(counted) == {(MINUTE, "a"): 1}


def test_what_did_not_begin_is_not_counted() -> None:
    counted = Counts()
    counted.count([Blocked(success().claimed, TIME, TIME, "smtp")])
    assert counted.is_empty


def test_what_could_not_be_stored_is_added_to_what_came_since() -> None:
    counted = Counts()
    counted.count([success("a"), success("b")])
    taken = counted.take()
    counted.count([success("a")])
    counted.give_back(taken)
    counted.count([success("a")])
    assert numbers(counted) == {(MINUTE, "a"): 3, (MINUTE, "b"): 1}


def test_names_without_end_do_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(counts, "MOST_KEPT", 3)
    counted = Counts()
    for _ in range(2):
        counted.count([success(name) for name in "abcdef"])
    taken = counted.take()
    assert {key[1]: tally.succeeded for key, tally in taken.items()} == dict.fromkeys("abc", 2)
    assert caplog.text.count("are dropped") == 1
    counted.count([success(name) for name in "fg"])
    counted.give_back(taken)
    assert numbers(counted) == {(MINUTE, "f"): 1, (MINUTE, "g"): 1, (MINUTE, "a"): 2}


def test_threads_may_count_at_the_same_time_as_others_take() -> None:
    counted, found = Counts(), 0

    def count() -> None:
        for _ in range(2000):
            counted.count([success()])

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        found += sum(numbers(counted).values())
    for thread in threads:
        thread.join()
    assert found + sum(numbers(counted).values()) == 6000


@override_settings(USE_TZ=False, TIME_ZONE="Europe/Berlin")
def test_without_time_zones_the_minute_is_that_of_utc() -> None:
    counted = Counts()
    counted.count([success(ended=datetime(2026, 11, 28, 15, 2, 59))])  # noqa: DTZ001
    assert numbers(counted) == {(MINUTE, "a"): 1}
