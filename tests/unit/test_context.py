"""What surrounds a push: how it is captured, and how it is given to a task."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from datetime import timedelta, timezone, tzinfo
from types import ModuleType
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest
from django.test import override_settings
from django.utils import timezone as django_timezone
from django.utils import translation

from leek.context import captured, request_id, restore
from leek.exceptions import InvalidTask
from leek.pushing import new_rows
from leek.serializer import load_task
from leek.tagged_json import decode, encode
from tests.site import tasks
from tests.site.tasks import tenant
from tests.unit.values import JSON_VALUES, OwnZone, exactly, type_name

T = TypeVar("T")

PATH = "tests.site.tasks.tenant"
USUAL = ["en-us", "UTC", None, "nobody's"]

with_tenant = override_settings(TASKS_QUEUE={"CONTEXT": [PATH]})


@contextmanager
def having(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    """Let a context variable have a value."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def afterwards(stored: dict[str, Any], function: Callable[[], T]) -> T:
    """Return what a function returns in an empty context that was given what was captured."""

    def run() -> T:
        restore(decode(encode(stored)))
        return function()

    return Context().run(run)


# Capturing


def test_nothing_is_captured_where_all_is_as_usual() -> None:
    assert captured() == {}
    assert Context().run(captured) == {}


def test_nothing_is_captured_of_variables_that_nobody_has_named() -> None:
    with having(ContextVar("unnamed"), 5), having(tenant, 7):
        assert captured() == {}


def test_what_is_set_to_the_usual_is_not_captured() -> None:
    with translation.override("en-us"), django_timezone.override("UTC"), having(request_id, None):
        assert captured() == {}


def test_translation_that_is_off_is_not_captured() -> None:
    with translation.override(None):
        assert captured() == {}


def test_the_language_is_captured() -> None:
    with translation.override("de"):
        assert captured() == {"language": "de"}


@pytest.mark.parametrize(
    ("zone", "stored"),
    [
        (ZoneInfo("Europe/Berlin"), "Europe/Berlin"),
        ("Asia/Tokyo", "Asia/Tokyo"),
        (timezone(timedelta(hours=-3)), timedelta(hours=-3)),
        (django_timezone.get_fixed_timezone(330), timedelta(minutes=330)),
        (timezone.utc, timedelta(0)),  # noqa: UP017
    ],
)
def test_the_time_zone_is_captured(zone: tzinfo | str, stored: object) -> None:
    with django_timezone.override(zone):
        assert captured() == {"time_zone": stored}


def test_a_time_zone_without_a_name_is_refused() -> None:
    with (
        django_timezone.override(OwnZone()),
        pytest.raises(InvalidTask, match=r"current time zone is .*OwnZone"),
    ):
        captured()


def test_the_request_id_is_captured() -> None:
    with having(request_id, "7d1c"):
        assert captured() == {"request_id": "7d1c"}


@with_tenant
@pytest.mark.parametrize("value", [7, None, 0, "", (1, 2), {"a": [1]}, timedelta(days=1)])
def test_a_variable_that_is_named_is_captured(value: object) -> None:
    with having(tenant, value):
        assert captured() == {"variables": {PATH: value}}


@with_tenant
def test_a_variable_that_is_not_set_is_not_captured() -> None:
    with having(request_id, "7d1c"):
        assert captured() == {"request_id": "7d1c"}


@with_tenant
@pytest.mark.parametrize("value", [object(), tasks.noop, [object()], {1: 2}])
def test_a_value_that_json_cannot_hold_is_refused_by_the_name_of_its_variable(
    value: object,
) -> None:
    with (
        having(tenant, value),
        pytest.raises(InvalidTask, match=rf"context variable {PATH} cannot be stored"),
    ):
        captured()


def test_a_push_stores_what_surrounds_it() -> None:
    now = django_timezone.now()
    with translation.override("de"):
        rows = new_rows([(tasks.noop, (), {}), (tasks.echo, ({1},), {})], now, "pickle")
    for row in rows:
        assert '"context": {"language": "de"}' in row["payload"]
        assert load_task(row["payload"], "auto").context == {"language": "de"}


def test_a_plain_push_stores_nothing_of_it() -> None:
    (row,) = new_rows([(tasks.noop, (), {})], django_timezone.now(), "auto")
    assert "context" not in row["payload"]
    assert load_task(row["payload"], "auto").context == {}


# Restoring


def test_what_was_captured_is_restored() -> None:
    stored = {
        "language": "de",
        "time_zone": "Europe/Berlin",
        "request_id": "7d1c",
        "variables": {PATH: 7},
    }
    assert afterwards(stored, tasks.surroundings) == ["de", "Europe/Berlin", "7d1c", 7]
    assert afterwards({}, tasks.surroundings) == USUAL


def test_a_fixed_offset_is_restored() -> None:
    stored = {"time_zone": timedelta(minutes=330)}
    zone = afterwards(stored, django_timezone.get_current_timezone)
    assert zone == timezone(timedelta(minutes=330))


@pytest.mark.parametrize("value", JSON_VALUES, ids=type_name)
def test_a_value_comes_back_exactly(value: Any) -> None:
    assert exactly(afterwards({"variables": {PATH: value}}, tenant.get)) == exactly(value)


@pytest.mark.parametrize(
    ("stored", "named"),
    [
        ({"time_zone": "Mars/Olympus"}, "The time zone Mars/Olympus"),
        ({"language": 5}, "The language 5"),
        ({"variables": {"no_such_package.tenant": 7}}, "variable no_such_package.tenant"),
        ({"variables": {"tests.site.tasks.missing": 7}}, "variable tests.site.tasks.missing"),
        ({"variables": {"tests.site.tasks.noop": 7}}, "variable tests.site.tasks.noop"),
        ({"variables": {"module_that_leaves.tenant": 7}}, "variable module_that_leaves.tenant"),
    ],
)
def test_what_does_not_exist_any_more_is_left_out_and_logged(
    stored: dict[str, Any],
    named: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    (tmp_path / "module_that_leaves.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    stored = stored | {"request_id": "7d1c"}
    assert afterwards(stored, tasks.surroundings) == ["en-us", "UTC", "7d1c", "nobody's"]
    (record,) = [record for record in caplog.records if record.name == "leek"]
    assert record.levelno == logging.WARNING
    assert f"{named} cannot be restored" in record.getMessage()


def test_logging_that_raises_costs_the_task_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(record: logging.LogRecord) -> bool:
        raise RuntimeError

    logger = logging.getLogger("leek")
    logger.addFilter(broken)
    try:
        stored = {"time_zone": "Mars/Olympus", "request_id": "7d1c"}
        assert afterwards(stored, request_id.get) == "7d1c"
    finally:
        logger.removeFilter(broken)


def test_what_a_newer_version_may_store_is_left_out() -> None:
    assert afterwards({"weather": "fine"}, tasks.surroundings) == USUAL


def test_a_module_of_that_name_is_no_variable(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tasks, "lodgers", ModuleType("lodgers"), raising=False)
    afterwards({"variables": {"tests.site.tasks.lodgers": 7}}, tasks.noop)
    assert "is no ContextVar" in caplog.text
