"""What a function, a push and the settings say of a task, and who has the last word."""

import math
from datetime import timedelta
from typing import Any

import pytest

from leek.conditions import Conditions, Gate, Rate
from leek.exceptions import InvalidTask
from leek.policy import NOTHING, Policy, Terms, policy, policy_from, policy_of, restored, stored
from leek.retry import RetryPolicy
from tests.site import tasks

SETTINGS = Terms(RetryPolicy(3, 1, 600), timeout=60, requires=("smtp",))


def conditions(args: tuple[Any, ...] = (), **options: Any) -> Conditions:
    """Return the conditions of a task of the function shop.bill under these options."""
    return SETTINGS.changed_by(policy_from(options)).conditions("shop.bill", args, {})


def delays(attempt: int) -> float:
    return 2.0 * attempt


def test_the_function_stays_as_it_is() -> None:
    def bill() -> int:
        return 7

    assert policy(max_retries=5)(bill) is bill
    assert bill() == 7
    assert policy_of(bill) == Policy(max_retries=5)


def test_a_function_without_a_policy_has_none() -> None:
    assert policy_of(tasks.noop) is None


def test_options_that_are_none_say_nothing() -> None:
    assert policy_from({"queue": None, "limit": None}) is NOTHING


def test_a_policy_wins_over_the_settings_where_it_says_something() -> None:
    terms = SETTINGS.changed_by(policy_from({"max_retries": 5, "retry_delay": [1, 2]}))
    assert terms.retry == RetryPolicy(5, (1.0, 2.0), 600)
    assert (terms.timeout, terms.requires) == (60, ("smtp",))


def test_a_push_wins_over_the_policy() -> None:
    noted = policy_from({"max_retries": 5, "requires": ["tcp:a:1"]})
    said = policy_from({"max_retries": 1, "requires": []})
    terms = SETTINGS.changed_by(noted).changed_by(said)
    assert (terms.retry.max_retries, terms.requires) == (1, ())


def test_a_policy_lifts_the_time_limit_of_the_settings() -> None:
    assert SETTINGS.changed_by(policy_from({"timeout": math.inf})).timeout is None


@pytest.mark.parametrize(
    ("option", "value", "kept"),
    [
        ("retry_delay", timedelta(minutes=1), 60.0),
        ("retry_delay", 0, 0.0),
        ("retry_delay", [1, timedelta(seconds=2)], (1.0, 2.0)),
        ("retry_delay", delays, delays),
        ("retry_on", OSError, (OSError,)),
        ("give_up_on", [OSError, ValueError], (OSError, ValueError)),
        ("timeout", timedelta(hours=1), 3600.0),
        ("atomic", True, "default"),
        ("atomic", False, ""),
        ("atomic", "default", "default"),
        ("requires", "smtp", ("smtp",)),
        ("requires", ["smtp", tasks.noop], ("smtp", "tests.site.tasks.noop")),
        ("requires", [], ()),
        ("rate", "5/10s", "5/10s"),
    ],
)
def test_values_are_kept_in_one_form(option: str, value: Any, kept: Any) -> None:
    assert getattr(policy_from({option: value}), option) == kept


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("max_retries", 0, "a whole number from 1"),
        ("max_retries", True, "a whole number from 1"),
        ("retry_delay", -1, "seconds, a list"),
        ("retry_delay", [], "seconds, a list"),
        ("retry_delay", "1", "seconds, a list"),
        ("retry_delay", math.nan, "seconds, a list"),
        ("retry_on", "OSError", "a class of exceptions"),
        ("retry_on", [], "a class of exceptions"),
        ("give_up_on", [int], "a class of exceptions"),
        ("timeout", 0, "seconds above 0"),
        ("atomic", "elsewhere", "True, False or the alias"),
        ("atomic", 1, "True, False or the alias"),
        ("requires", "smpt", '"smtp", "smtp:<mailer>"'),
        ("requires", [5], '"smtp", "smtp:<mailer>"'),
        ("limit", 0, "a whole number from 1"),
        ("rate", "100", '"100/m"'),
        ("rate", 100, '"100/m"'),
        ("key", "", "a text, or a function"),
        ("key", 5, "a text, or a function"),
        ("queue", "", "a name of 1 to 100 characters"),
        ("priority", 101, "a whole number from -100 to 100"),
    ],
)
def test_a_wrong_value_is_named_with_the_remedy(option: str, value: Any, remedy: str) -> None:
    with pytest.raises(InvalidTask) as caught:
        policy(**{option: value})
    assert f"{option} is {value!r}. Give" in str(caught.value)
    assert remedy in str(caught.value)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(TypeError, match=r"'retries' is no option. There are: max_retries,"):
        policy(retries=5)  # type: ignore[call-arg]


def test_without_a_limit_only_services_count() -> None:
    assert conditions(requires="tcp:a:1") == Conditions(("tcp:a:1",))


def test_tasks_of_a_function_share_its_limit() -> None:
    assert conditions(limit=2).gates == (Gate("limit:shop.bill", running=2),)


def test_functions_may_share_a_limit_by_its_key() -> None:
    assert conditions(rate="5/s", key="mailgun").gates == (Gate("rate:mailgun", rate=Rate(5, 1.0)),)


def test_a_key_of_the_arguments_is_the_functions_own() -> None:
    by_user = conditions((42,), limit=1, rate="5/s", key=lambda user_id: user_id)
    assert [gate.name for gate in by_user.gates] == ["limit:shop.bill[42]", "rate:shop.bill[42]"]


def test_a_long_key_is_cut_and_stays_distinct() -> None:
    first, second = (conditions(limit=1, key="x" * 300 + end).gates[0].name for end in "ab")
    assert len(first) == len(second) < 255
    assert first != second


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": 5, "timeout": 7, "atomic": True, "requires": ["smtp", tasks.noop]},
        {"retry_on": [OSError, InvalidTask], "give_up_on": ValueError, "timeout": math.inf},
        {"retry_delay": tasks.add, "limit": 3, "rate": "5/s", "key": "mailgun"},
        {"retry_delay": [1, 2]},
    ],
)
def test_what_a_push_says_is_stored_and_found_again(options: dict[str, Any]) -> None:
    said = policy_from(options)
    assert restored(stored(said, "shop.bill", (), {})) == said


def test_a_key_of_the_arguments_is_stored_as_what_it_gives() -> None:
    said = policy_from({"limit": 1, "key": lambda user_id: user_id, "queue": "mail", "priority": 5})
    assert stored(said, "shop.bill", (42,), {}) == {"limit": 1, "key": "shop.bill[42]"}


def test_what_cannot_be_imported_cannot_be_stored() -> None:
    said = policy_from({"retry_delay": lambda attempt: 1.0})
    with pytest.raises(InvalidTask, match="cannot be imported"):
        stored(said, "shop.bill", (), {})
