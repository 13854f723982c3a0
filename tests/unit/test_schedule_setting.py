"""The setting SCHEDULE: what its entries mean, and which are refused."""

import json
import sys
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import override_settings

from leek.checks import check_settings
from leek.conf import config
from leek.schedule import Cron, Every, Schedule

TASK = "shop.tasks.cleanup"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEEK_SCHEDULE", raising=False)


@pytest.fixture
def no_cronsim(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the package not installed."""
    monkeypatch.setitem(sys.modules, "cronsim", None)


def accepted(entry: Any) -> Schedule:
    """Return what an entry means."""
    with override_settings(TASKS_QUEUE={"SCHEDULE": {"cleanup": entry}}):
        assert check_settings(None) == []
        return config.SCHEDULE["cleanup"]


def refused(entry: Any, name: Any = "cleanup") -> tuple[str, str]:
    """Return what the system check says of an entry: the problem, after the setting; the remedy."""
    with override_settings(TASKS_QUEUE={"SCHEDULE": {name: entry}}):
        (error,) = check_settings(None)
    assert error.id == "leek.E003"
    start = 'TASKS_QUEUE["SCHEDULE"]'
    assert error.msg.startswith(start)
    return error.msg.removeprefix(start), str(error.hint)


@pytest.mark.parametrize("every", [60, 60.0, timedelta(minutes=1)])
def test_an_interval_may_be_a_number_or_a_timedelta(every: Any) -> None:
    schedule = accepted({"task": TASK, "every": every})
    assert schedule == Schedule("cleanup", TASK, Every(timedelta(minutes=1)))
    assert schedule.catch_up == "latest"


@override_settings(TIME_ZONE="Asia/Tokyo")
def test_cron_is_in_the_sites_zone_or_in_its_own() -> None:
    daily = {"task": TASK, "cron": "0 3 * * *"}
    assert accepted(daily).recurrence == Cron("0 3 * * *", ZoneInfo("Asia/Tokyo"))
    berlin = accepted(daily | {"timezone": "Europe/Berlin"})
    assert berlin.recurrence == Cron("0 3 * * *", ZoneInfo("Europe/Berlin"))


def test_an_entry_may_say_how_the_task_is_pushed() -> None:
    options = {"args": [1], "kwargs": {"b": 2}, "queue": "mail", "priority": 5, "catch_up": "all"}
    schedule = accepted({"task": TASK, "every": 1, **options})
    assert (schedule.args, schedule.kwargs) == ((1,), {"b": 2})
    assert (schedule.queue, schedule.priority, schedule.catch_up) == ("mail", 5, "all")


def test_a_zone_changes_nothing_for_an_interval() -> None:
    entry = {"task": TASK, "every": 60}
    assert accepted(entry | {"timezone": "Asia/Tokyo"}) == accepted(entry)


def test_the_environment_holds_json(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"task": TASK, "every": 0.5, "args": [1, "two"]}
    monkeypatch.setenv("LEEK_SCHEDULE", json.dumps({"cleanup": entry}))
    assert config.SCHEDULE["cleanup"] == accepted(entry)


@pytest.mark.parametrize("text", ["no JSON", "{", "[]", "5", "null"])
def test_an_environment_that_holds_no_dictionary_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("LEEK_SCHEDULE", text)
    (error,) = check_settings(None)
    assert error.id == "leek.E003"
    assert error.msg.startswith("LEEK_SCHEDULE is ")
    assert "a dictionary of entries such as" in str(error.hint)


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("task", "cleanup", 'Set it to a dotted path such as "shop.tasks.send".'),
        ("task", print, 'Set it to a dotted path such as "shop.tasks.send".'),
        ("every", 0, "seconds: a number above 0"),
        ("every", -1, "seconds: a number above 0"),
        ("every", "60", "seconds: a number above 0"),
        ("every", True, "seconds: a number above 0"),
        ("every", float("nan"), "seconds: a number above 0"),
        ("every", timedelta(microseconds=1), "seconds: a number above 0"),
        ("every", None, "seconds: a number above 0"),
        ("args", "abc", "Set it to a list."),
        ("args", {}, "Set it to a list."),
        ("kwargs", [], "a dictionary with texts as keys"),
        ("kwargs", {1: 2}, "a dictionary with texts as keys"),
        ("queue", "", "a name of 1 to 100 characters"),
        ("queue", "q" * 101, "a name of 1 to 100 characters"),
        ("priority", 101, "a whole number from -100 to 100"),
        ("priority", "high", "a whole number from -100 to 100"),
        ("timezone", "Mars/Olympus", 'the name of a time zone, such as "Europe/Berlin"'),
        ("timezone", "../zone", 'the name of a time zone, such as "Europe/Berlin"'),
        ("timezone", "Europe", 'the name of a time zone, such as "Europe/Berlin"'),
        ("timezone", 1, 'the name of a time zone, such as "Europe/Berlin"'),
        ("catch_up", "some", 'one of "latest", "all", "none"'),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_entry(
    key: str, value: Any, remedy: str
) -> None:
    problem, hint = refused({"task": TASK, "every": 60} | {key: value})
    assert problem == f'["cleanup"]["{key}"] is {value!r}.'
    assert remedy in hint


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("99 * * * *", "(Bad minute)"),
        ("0 3 * *", "(Wrong number of fields)"),
        ("@daily", "(Wrong number of fields)"),
        ("0 0 30 2 *", "(Bad day-of-month)"),
        ("0 0 */29 2 MON#5", ""),
    ],
)
def test_a_cron_expression_that_is_bad_or_never_due_is_refused(
    expression: str, reason: str
) -> None:
    problem, hint = refused({"task": TASK, "cron": expression})
    assert problem == f'["cleanup"]["cron"] is {expression!r} {reason}'.rstrip() + "."
    assert "minute, hour, day of the month, month and day of the week" in hint


@pytest.mark.parametrize("value", ["", None, 5, ["0 3 * * *"]])
def test_cron_is_a_text(value: Any) -> None:
    problem, hint = refused({"task": TASK, "cron": value})
    assert problem == f'["cleanup"]["cron"] is {value!r}.'
    assert hint == 'Set it to a text such as "0 3 * * *".'


def test_cron_needs_a_package_and_says_which(no_cronsim: None) -> None:
    problem, hint = refused({"task": TASK, "cron": "0 3 * * *"})
    assert problem == '["cleanup"]["cron"] is \'0 3 * * *\', which needs the package cronsim.'
    assert 'pip install "django-leek[cron]"' in hint


def test_an_interval_needs_no_package(no_cronsim: None) -> None:
    assert accepted({"task": TASK, "every": 60})


@pytest.mark.parametrize(
    ("entry", "problem", "remedy"),
    [
        ({"every": 60}, ' has no "task".', "dotted path"),
        ({"task": TASK}, ' has neither of "every" and "cron".', "one of the two"),
        (
            {"task": TASK, "every": 60, "cron": "* * * * *"},
            ' has both of "every" and "cron".',
            "one of the two",
        ),
        ({"task": TASK, "evry": 60}, ' has an unknown key, "evry".', 'Did you mean "every"?'),
        ({"task": TASK, "x": 60}, ' has an unknown key, "x".', "Known keys: task, every, cron,"),
        (TASK, f" is {TASK!r}.", "a dictionary such as"),
        (None, " is None.", "a dictionary such as"),
    ],
)
def test_an_entry_that_is_not_whole_is_named(entry: Any, problem: str, remedy: str) -> None:
    said, hint = refused(entry)
    assert said == f'["cleanup"]{problem}'
    assert remedy in hint


@pytest.mark.parametrize("name", ["", " ", " cleanup", "x" * 256])
def test_a_name_has_to_be_one(name: str) -> None:
    problem, hint = refused({"task": TASK, "every": 60}, name)
    assert problem == f'["{name}"] is not a good name.'
    assert hint == "Take 1 to 255 characters, no spaces around."


@pytest.mark.parametrize("value", [None, [], "cleanup", {1: {"task": TASK, "every": 60}}])
def test_what_is_no_dictionary_of_names_is_refused(value: Any) -> None:
    with override_settings(TASKS_QUEUE={"SCHEDULE": value}):
        (error,) = check_settings(None)
    assert error.msg == f'TASKS_QUEUE["SCHEDULE"] is {value!r}.'
