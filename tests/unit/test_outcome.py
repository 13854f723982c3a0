"""The values between claim and settlement."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime

import pytest

from leek.outcome import Claimed, ErrorReport, Retry

NOW = datetime(2026, 12, 24, tzinfo=UTC)


def claimed(tries: int, crashes: int) -> Claimed:
    return Claimed(1, "shop.tasks.send", "", 0, tries, crashes, NOW, False, 0.0, NOW, 3, 1)


@pytest.mark.parametrize(
    ("tries", "crashes", "attempt"), [(0, 0, 1), (2, 0, 3), (0, 2, 3), (1, 2, 4)]
)
def test_tries_and_crashes_count_as_attempts(tries: int, crashes: int, attempt: int) -> None:
    assert claimed(tries, crashes).attempt == attempt


def test_a_retry_spends_a_try_unless_it_says_otherwise() -> None:
    assert Retry(claimed(0, 0), NOW, NOW, ErrorReport("ValueError", ""), 1.0).spends_try


def test_an_outcome_cannot_be_changed() -> None:
    outcome = Retry(claimed(0, 0), NOW, NOW, ErrorReport("ValueError", ""), 1.0)
    with pytest.raises(FrozenInstanceError):
        outcome.delay = 2.0  # type: ignore[misc]
