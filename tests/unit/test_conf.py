"""The settings: where they come from, and which values they refuse."""

import os
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from leek import conf
from leek.conf import DEFAULTS, InvalidSetting, config
from tests.site.tasks import tenant


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LEEK_")]:
        monkeypatch.delenv(name)


def read(key: str) -> Any:
    return getattr(config, key)


def refusal(key: str) -> str:
    """Return the message with which the setting in force is refused."""
    with pytest.raises(InvalidSetting) as caught:
        read(key)
    return str(caught.value)


# Where a value comes from


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("TASKS_HOST", "localhost"),
        ("TASKS_PORT", 8002),
        ("HINT_TIMEOUT", 0.25),
        ("DATABASE", None),
        ("SERIALIZER", "auto"),
        ("ALIASES", {}),
        ("CONTEXT", []),
        ("EAGER", False),
        ("RUNSERVER", False),
        ("ENGINE", "leek"),
        ("CELERY_APP", None),
        ("RELAY_TIMEOUT", 60),
        ("WORKERS", 1),
        ("QUEUES", None),
        ("MAX_RETRIES", 3),
        ("RETRY_DELAY", 1),
        ("RETRY_DELAY_MAX", 600),
        ("MAX_CRASHES", 3),
        ("PARK_FOR", 86_400),
        ("LOG_LINES", 100),
        ("LEASE", 30),
        ("POLL_INTERVAL", 1),
        ("SHUTDOWN_TIMEOUT", 8),
        ("HEALTH_TOKEN", None),
    ],
)
def test_the_defaults_are_the_documented_ones(key: str, default: object) -> None:
    assert DEFAULTS[key] == default
    assert read(key) == default


def test_every_default_is_a_value_that_its_setting_takes() -> None:
    assert conf.wrong_values() == []


def test_the_environment_wins_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEEK_MAX_RETRIES", "7")
    assert config.MAX_RETRIES == 7


def test_the_dictionary_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEEK_MAX_RETRIES", "7")
    with override_settings(TASKS_QUEUE={"MAX_RETRIES": 5}):
        assert config.MAX_RETRIES == 5


def test_the_dictionary_wins_over_an_environment_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LEEK_MAX_RETRIES", "many")
    with override_settings(TASKS_QUEUE={"MAX_RETRIES": 5}):
        assert config.MAX_RETRIES == 5


@pytest.mark.parametrize(("key", "value"), [("QUEUES", None), ("EAGER", False), ("RETRY_DELAY", 0)])
def test_a_false_value_in_the_dictionary_wins_too(
    monkeypatch: pytest.MonkeyPatch, key: str, value: object
) -> None:
    monkeypatch.setenv(f"LEEK_{key}", "1")
    with override_settings(TASKS_QUEUE={key: value}):
        assert read(key) == value


def test_settings_are_read_live() -> None:
    with override_settings(TASKS_QUEUE={"WORKERS": 2}):
        assert config.WORKERS == 2
        with override_settings(TASKS_QUEUE={"WORKERS": 3}):
            assert config.WORKERS == 3
    assert config.WORKERS == 1


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("TASKS_HOST", "queue.example.org", "queue.example.org"),
        ("TASKS_HOST", "::1", "::1"),
        ("TASKS_HOST", "queue1, [::1]:8003", "queue1, [::1]:8003"),
        ("TASKS_PORT", "9000", 9000),
        ("LEASE", "45", 45.0),
        ("LEASE", "0.5", 0.5),
        ("EAGER", "True", True),
        ("EAGER", "on", True),
        ("EAGER", "1", True),
        ("EAGER", "False", False),
        ("EAGER", "off", False),
        ("EAGER", "0", False),
        ("QUEUES", "mail", ["mail"]),
        ("QUEUES", "mail,reports", ["mail", "reports"]),
        ("QUEUES", "mail, reports", ["mail", "reports"]),
        ("QUEUES", "default,mail-*", ["default", "mail-*"]),
        ("QUEUES", "default=3,mail-*=1", {"default": 3, "mail-*": 1}),
        ("QUEUES", "default = 3, mail-*, a=b=2", {"default": 3, "mail-*": 1, "a=b": 2}),
        ("ALIASES", "a.b=c.d", {"a.b": "c.d"}),
        ("ALIASES", "a.b = c.d, a.b.c=c.d", {"a.b": "c.d", "a.b.c": "c.d"}),
        ("ALIASES", "", {}),
        ("CONTEXT", "", []),
        ("CONTEXT", "tests.site.tasks.tenant", [("tests.site.tasks.tenant", tenant)]),
        ("SERIALIZER", "json", "json"),
        ("DATABASE", "default", "default"),
    ],
)
def test_the_environment_spells_each_kind(
    monkeypatch: pytest.MonkeyPatch, key: str, text: str, value: object
) -> None:
    monkeypatch.setenv(f"LEEK_{key}", text)
    assert read(key) == value


@pytest.mark.parametrize("value", [45, 45.0, timedelta(seconds=45)])
def test_seconds_may_be_a_number_or_a_timedelta(value: object) -> None:
    with override_settings(TASKS_QUEUE={"LEASE": value}):
        assert config.LEASE == 45.0


@pytest.mark.parametrize("names", [["a", "b"], ("a", "b")])
def test_names_may_be_a_list_or_a_tuple(names: object) -> None:
    with override_settings(TASKS_QUEUE={"QUEUES": names}):
        assert config.QUEUES == ["a", "b"]


# What is refused

PLACES = "a host, or several with commas, each with a port or without"
FLAG = "True or False"
PORT = "a port number from 1 to 65535"
COUNT = "a whole number from 1"
LINES = "a whole number from 0 to 1000"
SECONDS = "seconds: a number from 0, or a timedelta"
PERIOD = "seconds: a number above 0 and up to a day, or a timedelta"
QUEUES = (
    "a list of names or patterns, a dictionary of their weights (whole numbers from 1),"
    " or None for all"
)
ALIAS = "the alias of one of DATABASES, or None"
VARIABLES = "a list of dotted paths of context variables"
ALIASES = "a dictionary of present dotted paths by former ones, none of them both"
SERIALIZERS = 'one of "auto", "json", "pickle"'

REFUSED: list[tuple[str, object, str]] = [
    *(("TASKS_HOST", value, PLACES) for value in ("", None, 1, b"localhost", ["localhost"])),
    *(("EAGER", value, FLAG) for value in (0, 1, None, "True", "")),
    *(("TASKS_PORT", value, PORT) for value in (0, -1, 65_536, True, "8002", 8002.0, None)),
    *(
        ("LOG_LINES", value, "a whole number from 0 to 1000")
        for value in (-1, 1001, True, "2", None)
    ),
    *(("WORKERS", value, COUNT) for value in (0, -1, True, False, "2", 2.0, None, [2])),
    *(("MAX_RETRIES", value, COUNT) for value in (0, True, 3.5, timedelta(seconds=3))),
    *(("RETRY_DELAY", value, SECONDS) for value in (-1, -0.1, True, "1", None, [1])),
    ("RETRY_DELAY", timedelta(seconds=-1), SECONDS),
    ("RETRY_DELAY", float("nan"), SECONDS),
    ("RETRY_DELAY", 1j, SECONDS),
    *(("LEASE", value, PERIOD) for value in (0, 0.0, -1, True, "30", None, float("nan"))),
    ("LEASE", timedelta(0), PERIOD),
    *(("QUEUES", value, QUEUES) for value in ("mail", [], (), [""], [1], [None], 5)),
    ("QUEUES", {}, QUEUES),
    *(("QUEUES", {"mail": weight}, QUEUES) for weight in (0, -1, 0.5, True, "1", None)),
    *(("QUEUES", {"mail": 1, name: 1}, QUEUES) for name in ("", 1, None, "a\0", "x" * 101)),
    *(("QUEUES", [name], QUEUES) for name in ("a\0*", "x" * 101, "x" * 101 + "*", "\ud800")),
    *(("DATABASE", value, ALIAS) for value in ("elsewhere", "", 1, ["default"], True)),
    *(("ALIASES", value, ALIASES) for value in (None, ["a.b"], "a.b=c.d", 5)),
    ("ALIASES", {"a.b"}, ALIASES),
    ("ALIASES", {"a.b": None}, ALIASES),
    ("ALIASES", {"a": "c.d"}, ALIASES),
    ("ALIASES", {"a.b": "c"}, ALIASES),
    ("ALIASES", {"a.b": "c d.e"}, ALIASES),
    ("ALIASES", {"a.b": "c.d", "c.d": "e.f"}, ALIASES),
    ("ALIASES", {"a.b": "c.d", "c.d": "a.b"}, ALIASES),
    ("ALIASES", {"a.b": "a.b"}, ALIASES),
    ("ALIASES", {"a.b": ["c.d"]}, ALIASES),
    ("ALIASES", {1: "c.d"}, ALIASES),
    *(("CONTEXT", value, VARIABLES) for value in (None, "a.b", {"a.b": 1}, [1], [""], ["a"])),
    *(("SERIALIZER", value, SERIALIZERS) for value in ("yaml", "JSON", None, "", ["json"])),
]


@pytest.mark.parametrize(("key", "value", "remedy"), REFUSED)
def test_a_refusal_names_key_value_and_remedy(key: str, value: object, remedy: str) -> None:
    with override_settings(TASKS_QUEUE={key: value}):
        message = refusal(key)
    assert f'TASKS_QUEUE["{key}"] is {value!r}.' in message
    assert remedy in message
    assert f"(default: {DEFAULTS[key]!r})" in message


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("no_such_package.tenant", "No module named 'no_such_package'"),
        ("tests.site.tasks.missing", 'does not define a "missing" attribute'),
        ("tests.site.tasks.noop", "is no ContextVar but <function noop"),
    ],
)
def test_of_several_context_variables_the_wrong_one_is_named(path: str, reason: str) -> None:
    with override_settings(TASKS_QUEUE={"CONTEXT": ["tests.site.tasks.tenant", path]}):
        message = refusal("CONTEXT")
    assert f'TASKS_QUEUE["CONTEXT"] names {path}, which is no context variable: ' in message
    assert reason in message
    assert message.endswith("Name contextvars.ContextVar objects of modules that can be imported.")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("queue1,,queue2", "has an empty entry"),
        ("queue1:70000", 'has the entry "queue1:70000", whose port is none from 1 to 65535'),
        ("queue1,queue1", "names queue1 twice"),
    ],
)
def test_what_is_wrong_with_places_is_told(value: str, reason: str) -> None:
    with override_settings(TASKS_QUEUE={"TASKS_HOST": value}):
        message = refusal("TASKS_HOST")
    assert (
        message
        == f'TASKS_QUEUE["TASKS_HOST"] is {value!r}, which {reason}. Set it to {PLACES}'
        + (': "queue1,queue2:8003".')
    )


def test_places_are_those_of_both_settings_but_for_what_is_given() -> None:
    with override_settings(TASKS_QUEUE={"TASKS_HOST": "a, b:9", "TASKS_PORT": 8}):
        assert conf.places() == [("a", 8), ("b", 9)]
        assert conf.places(port=7) == [("a", 7), ("b", 7)]
        assert conf.places("c") == [("c", 8)]
        assert conf.places("c", 7) == [("c", 7)]
    with override_settings(TASKS_QUEUE={"TASKS_HOST": "a:8,a:9"}):
        assert conf.places(port=7) == [("a", 7)]


@pytest.mark.parametrize("value", [float("inf"), 1e300])
@pytest.mark.parametrize("key", ["LEASE", "HINT_TIMEOUT", "POLL_INTERVAL"])
def test_a_period_that_no_clock_can_count_is_refused(key: str, value: float) -> None:
    with override_settings(TASKS_QUEUE={key: value}):
        assert key in refusal(key)


@pytest.mark.parametrize("key", ["LEASE", "RETRY_DELAY"])
def test_a_number_too_large_for_a_float_is_refused(key: str) -> None:
    with override_settings(TASKS_QUEUE={key: 10**400}):
        assert key in refusal(key)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("TASKS_PORT", "http"),
        ("TASKS_PORT", ""),
        ("TASKS_PORT", "70000"),
        ("WORKERS", "3.5"),
        ("WORKERS", "0"),
        ("LEASE", "long"),
        ("LEASE", ""),
        ("LEASE", "-1"),
        ("LEASE", "1h"),
        ("LEASE", "5 minutes"),
        ("LEASE", "nan"),
        ("LEASE", "inf"),
        ("EAGER", "maybe"),
        ("QUEUES", ""),
        ("QUEUES", "mail=0"),
        ("QUEUES", "mail=much"),
        ("QUEUES", "mail="),
        ("QUEUES", "=3"),
        ("QUEUES", "mail=1,mail=2"),
        ("TASKS_HOST", ""),
        ("DATABASE", "elsewhere"),
        ("SERIALIZER", "yaml"),
        ("ALIASES", "a.b"),
        ("ALIASES", "a.b=c.d=e.f"),
        ("ALIASES", '{"a.b": "c.d"}'),
    ],
)
def test_a_refused_variable_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, key: str, text: str
) -> None:
    monkeypatch.setenv(f"LEEK_{key}", text)
    message = refusal(key)
    assert f"LEEK_{key} is " in message
    assert text in message
    assert "Set it to " in message


def test_seconds_in_the_environment_may_be_written_with_an_exponent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LEEK_PARK_FOR", "1e3")
    assert config.PARK_FOR == 1000.0


def test_a_refusal_is_an_error_of_configuration_for_django() -> None:
    with override_settings(TASKS_QUEUE={"WORKERS": 0}), pytest.raises(ImproperlyConfigured):
        read("WORKERS")


def test_a_wrong_value_leaves_the_other_settings_readable() -> None:
    with override_settings(TASKS_QUEUE={"WORKERS": 0, "MAX_RETRIES": 4}):
        assert config.MAX_RETRIES == 4


def test_all_wrong_values_are_listed() -> None:
    with override_settings(TASKS_QUEUE={"WORKERS": 0, "LEASE": -1, "MAX_RETRIES": 4}):
        problems = sorted(wrong.problem for wrong in conf.wrong_values())
    assert problems == ['TASKS_QUEUE["LEASE"] is -1.', 'TASKS_QUEUE["WORKERS"] is 0.']


# Unknown keys


def test_no_key_is_unknown_by_default() -> None:
    assert conf.unknown_keys() == {}


@pytest.mark.parametrize(
    ("key", "meant"),
    [("MAX_RETRY", "MAX_RETRIES"), ("max_retries", "MAX_RETRIES"), ("TASK_PORT", "TASKS_PORT")],
)
def test_an_unknown_key_is_answered_with_the_nearest(key: str, meant: str) -> None:
    with override_settings(TASKS_QUEUE={key: 1}):
        assert conf.unknown_keys() == {key: f'Did you mean "{meant}"?'}


@pytest.mark.parametrize("key", ["COLOUR", "", 5, ()])
def test_an_unknown_key_like_no_other_is_answered_with_all(key: object) -> None:
    with override_settings(TASKS_QUEUE={key: 1}):
        ((name, remedy),) = conf.unknown_keys().items()
    assert name == str(key)
    assert all(known in remedy for known in DEFAULTS)
