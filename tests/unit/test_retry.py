"""What follows a failed attempt."""

from datetime import timedelta
from typing import Any

import pytest

from leek.exceptions import GiveUp, Retry
from leek.retry import RetryPolicy, backoff

POLICY = RetryPolicy(max_retries=5, delay=10, max_delay=35)


@pytest.mark.parametrize(("attempt", "delay"), [(1, 10), (2, 20), (3, 35), (4, 35)])
def test_the_delay_doubles_up_to_its_maximum(attempt: int, delay: float) -> None:
    assert POLICY.delay_after(attempt) == delay


@pytest.mark.parametrize("attempt", [5, 6, 1000])
def test_the_last_try_is_not_followed_by_another(attempt: int) -> None:
    assert POLICY.delay_after(attempt) is None


def test_one_try_in_all_means_no_retry() -> None:
    assert RetryPolicy(max_retries=1, delay=1, max_delay=1).delay_after(1) is None


def test_max_retries_counts_the_tries_in_all() -> None:
    policy = RetryPolicy(max_retries=3, delay=1, max_delay=1)
    followed = [policy.delay_after(attempt) is not None for attempt in range(1, 5)]
    assert followed == [True, True, False, False]


@pytest.mark.parametrize(("jitter", "delay"), [(0.0, 10.0), (0.5, 10.5), (1.0, 11.0)])
def test_jitter_lengthens_the_delay_by_up_to_a_tenth(jitter: float, delay: float) -> None:
    assert POLICY.delay_after(1, jitter=jitter) == pytest.approx(delay)


def test_no_delay_stays_no_delay() -> None:
    policy = RetryPolicy(max_retries=100, delay=0, max_delay=600)
    assert {policy.delay_after(attempt, jitter=1.0) for attempt in range(1, 100)} == {0.0}


def test_a_delay_never_shrinks_from_try_to_try() -> None:
    delays = [backoff(failures, 0.1, 600.0) for failures in range(1, 100)]
    assert delays == sorted(delays)


@pytest.mark.parametrize(
    ("failures", "delay"), [(1, 0.1), (2, 0.2), (3, 0.4), (5, 1.6), (6, 2.0), (10**9, 2.0)]
)
def test_a_backoff_is_bounded_after_any_number_of_failures(failures: int, delay: float) -> None:
    assert backoff(failures, 0.1, 2.0) == pytest.approx(delay)


def test_a_first_delay_above_the_maximum_is_cut_to_it() -> None:
    assert backoff(1, 10.0, 2.0) == 2.0


def test_a_backoff_goes_on_doubling_below_the_maximum() -> None:
    assert backoff(21, 1.0, 1e9) == 2.0**20


@pytest.mark.parametrize(("attempt", "delay"), [(1, 5), (2, 1), (3, 60), (4, 60), (9, 60)])
def test_a_list_has_what_each_try_waits_for(attempt: int, delay: float) -> None:
    policy = RetryPolicy(max_retries=10, delay=(5, 1, 60), max_delay=35)
    assert policy.delay_after(attempt, jitter=1.0) == delay


def test_a_function_is_given_the_number_of_the_try_that_failed() -> None:
    policy = RetryPolicy(max_retries=10, delay=lambda attempt: 7.0 * attempt, max_delay=1)
    assert [policy.delay_after(attempt, jitter=1.0) for attempt in (1, 2, 3)] == [7, 14, 21]


def test_a_function_cannot_go_back_in_time() -> None:
    assert RetryPolicy(10, lambda attempt: -5.0, 1).delay_after(1) == 0.0


def test_only_chosen_errors_are_tried_again() -> None:
    policy = RetryPolicy(10, 1, 1, retry_on=(OSError, KeyError))
    assert policy.delay_after(1, ConnectionRefusedError()) == 1
    assert policy.delay_after(1, ValueError()) is None


def test_errors_to_give_up_on_are_not_tried_again() -> None:
    policy = RetryPolicy(10, 1, 1, retry_on=(OSError,), give_up_on=(FileNotFoundError,))
    assert policy.delay_after(1, FileNotFoundError()) is None
    assert policy.delay_after(1, PermissionError()) == 1


def test_a_task_may_give_up() -> None:
    assert POLICY.delay_after(1, GiveUp("no such user")) is None


@pytest.mark.parametrize(("after", "delay"), [(0, 0), (7, 7), (timedelta(minutes=1), 60), (-1, 0)])
def test_a_task_may_say_when_it_wants_to_be_tried_again(after: Any, delay: float) -> None:
    assert POLICY.delay_after(1, Retry(after=after), jitter=1.0) == delay


def test_a_task_that_does_not_say_when_waits_as_its_policy_has_it() -> None:
    assert POLICY.delay_after(2, Retry()) == 20


def test_a_task_that_wants_another_try_gets_one_whatever_the_policy_says_of_errors() -> None:
    policy = RetryPolicy(10, 1, 1, retry_on=(OSError,), give_up_on=(Exception,))
    assert policy.delay_after(1, Retry("busy", after=3)) == 3


def test_a_task_does_not_get_more_tries_than_there_are() -> None:
    assert POLICY.delay_after(5, Retry(after=3)) is None
