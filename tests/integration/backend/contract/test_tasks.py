"""What a task is, what `using` makes of it, and which ones are refused."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import override_settings
from django.utils import timezone
from django.utils.module_loading import import_string

from leek.backend import LeekBackend
from leek.django_task import LeekTask
from tests.integration.backend.contract.framework import (
    InvalidTask,
    InvalidTaskBackend,
    Task,
    by_class_of_task,
    by_import_path,
    default_task_backend,
    in_each_way_of_copying,
    of_both_kinds,
    task,
    task_backends,
)
from tests.settings import FRAMEWORK, TASKS
from tests.site import django_tasks as tasks

LEEK = "leek.backend.LeekBackend"


def sum_up(first: int, second: int) -> int:
    """Return a sum; no decorator is around this."""
    return first + second


def of_context(context: object) -> None:
    """Take a context."""


async def of_context_async(context: object) -> None:
    """Take a context, asynchronously."""


unnamed: Callable[[], None] = lambda: None  # noqa: E731


class Holder:
    """Has a method."""

    def method(self) -> None:
        """Do nothing."""


# Tasks


@pytest.mark.parametrize(
    "a_task", [tasks.add, tasks.take_any, tasks.take_any_async, tasks.tell_context]
)
def test_the_decorator_makes_a_task_of_leek_with_and_without_parentheses(a_task: Task) -> None:
    assert isinstance(a_task, Task)
    assert type(a_task) is LeekTask


def test_a_task_has_the_defaults_of_the_framework() -> None:
    made = task(sum_up)
    found = (made.priority, made.queue_name, made.backend, made.run_after, made.takes_context)
    assert found == (0, "default", "default", None, False)


def test_the_decorator_takes_the_attributes_of_a_task() -> None:
    made: Any = task(priority=7, queue_name="news", backend="mail", takes_context=True)(of_context)
    found = (made.priority, made.queue_name, made.backend, made.takes_context)
    assert found == (7, "news", "mail", True)


@by_class_of_task
def test_the_decorator_takes_the_policies_of_leek() -> None:
    made: Any = task(max_retries=5, timeout=timedelta(seconds=30), retry_on=OSError)(sum_up)  # type: ignore[call-overload]
    assert (made.max_retries, made.timeout, made.retry_on) == (5, 30.0, (OSError,))
    with pytest.raises(InvalidTask, match="max_retries is 0"):
        task(max_retries=0)(sum_up)  # type: ignore[call-overload]


@of_both_kinds
def test_a_task_has_the_name_and_the_path_of_its_function(a_task: Task) -> None:
    assert a_task.name == a_task.func.__name__
    assert a_task.module_path == f"tests.site.django_tasks.{a_task.name}"
    assert import_string(a_task.module_path) is a_task


def test_a_task_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        tasks.add.priority = 7  # type: ignore[misc]
    assert tasks.add.priority == 0


def test_equal_tasks_are_one_in_a_set() -> None:
    assert {tasks.add, tasks.add.using(), tasks.add.using(priority=1)} == {
        tasks.add,
        tasks.add.using(priority=1),
    }


def test_a_task_with_policies_can_be_in_a_set() -> None:
    made = tasks.add.using(retry_on=[OSError], requires=["smtp"], retry_delay=[1, 2])  # type: ignore[call-arg]
    assert len({made, made.using(), tasks.add}) == 2


@pytest.mark.parametrize("a_task", [tasks.add, tasks.add_async], ids=["sync", "async"])
def test_a_task_is_called_where_it_is(a_task: Task) -> None:
    assert a_task.call(1, second=2) == 3
    assert async_to_sync(a_task.acall)(1, second=2) == 3


# using


@pytest.mark.parametrize(
    "changes",
    [
        {"priority": 1},
        {"backend": "any", "queue_name": "letters"},
        {"backend": "other"},
        {"run_after": timezone.now()},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_using_makes_another_task_and_leaves_the_first(changes: dict[str, Any]) -> None:
    before = {name: getattr(tasks.add, name) for name in changes}
    made = tasks.add.using(**changes)
    assert {name: getattr(made, name) for name in changes} == changes
    assert {name: getattr(tasks.add, name) for name in changes} == before
    assert made != tasks.add


def test_using_without_changes_makes_an_equal_task() -> None:
    made = tasks.add.using()
    assert made == tasks.add
    assert made is not tasks.add


def test_one_use_keeps_what_the_use_before_has_changed() -> None:
    now = timezone.now()
    first = tasks.add.using(run_after=now, max_retries=9)  # type: ignore[call-arg]
    second = first.using(priority=10)
    assert (first.priority, second.priority) == (0, 10)
    assert (second.run_after, second.max_retries) == (now, 9)  # type: ignore[attr-defined]


def test_run_after_may_be_how_long_from_now() -> None:
    before = timezone.now()
    made = tasks.add.using(run_after=timedelta(hours=1))  # type: ignore[arg-type]
    assert made.run_after
    assert before <= made.run_after - timedelta(hours=1) <= timezone.now()


def test_run_after_has_to_be_a_time_that_python_knows() -> None:
    with pytest.raises(InvalidTask, match="after the year 9999"):
        tasks.add.using(run_after=timedelta.max)  # type: ignore[arg-type]


@pytest.mark.parametrize("priority", [-100, 0, 100, 3.0])
def test_priorities_reach_from_minus_100_to_100(priority: int) -> None:
    assert tasks.add.using(priority=priority).priority == priority


@pytest.mark.parametrize("priority", [-101, 101, 3.1])
def test_other_priorities_are_refused(priority: int) -> None:
    message = "priority must be a whole number between -100 and 100"
    with pytest.raises(InvalidTask, match=message):
        tasks.add.using(priority=priority)
    with pytest.raises(InvalidTask, match=message):
        task(priority=priority)(sum_up)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(InvalidTask, match="run_after must be an aware datetime"):
        tasks.add.using(run_after=datetime.now())  # noqa: DTZ005


def test_a_naive_time_is_taken_where_the_site_has_no_time_zones() -> None:
    naive = datetime(2026, 12, 24, 12)  # noqa: DTZ001
    with override_settings(USE_TZ=False):
        assert tasks.add.using(run_after=naive).run_after == naive


def test_a_time_in_the_decorator_is_refused() -> None:
    with pytest.raises(TypeError, match="run_after"):
        task(run_after=timezone.now())(sum_up)  # type: ignore[call-overload]


def test_a_queue_that_the_backend_has_not_is_refused() -> None:
    with pytest.raises(InvalidTask, match="Queue 'letters' is not valid for backend"):
        tasks.add.using(queue_name="letters")
    with pytest.raises(InvalidTask, match="Queue 'default' is not valid for backend"):
        tasks.add.using(backend="mail")


def test_a_backend_without_queues_takes_every_queue() -> None:
    assert tasks.add.using(queue_name="letters", backend="any").queue_name == "letters"


def test_a_backend_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidTaskBackend, match="The connection 'elsewhere' doesn't exist"):
        tasks.add.using(backend="elsewhere")


def test_a_backend_that_cannot_be_imported_is_refused() -> None:
    broken = TASKS | {"broken": {"BACKEND": "leek.backend.Missing"}}
    with (
        override_settings(TASKS=broken),
        pytest.raises(InvalidTaskBackend, match=r"Could not find backend 'leek\.backend\.Missing'"),
    ):
        tasks.add.using(backend="broken")


# Functions


def nested() -> Callable[[], None]:
    """Return a function that is not at the top level of its module."""

    def function() -> None:
        """Do nothing."""

    return function


@pytest.mark.parametrize(
    "function",
    [any, Holder().method, nested(), Holder],
    ids=["built in", "bound", "nested", "class"],
)
def test_what_is_no_function_of_a_module_is_refused(function: Any) -> None:
    with pytest.raises(InvalidTask, match="Task function must be defined at a module level"):
        task(function)


@pytest.mark.parametrize("function", [unnamed, Holder.method], ids=["lambda", "method"])
@pytest.mark.parametrize("is_async", [False, True], ids=["called", "awaited"])
def test_nothing_is_enqueued_that_no_server_could_call(function: Any, is_async: bool) -> None:
    made: Any = task(function)
    enqueue = async_to_sync(made.aenqueue) if is_async else made.enqueue
    with pytest.raises(InvalidTask):
        enqueue()


@pytest.mark.parametrize("function", [sum_up, tasks.take_any.func])
def test_a_function_that_takes_no_context_is_refused_as_one_that_does(function: Any) -> None:
    message = "Task takes context but does not have a first argument of 'context'"
    with pytest.raises(InvalidTask, match=message):
        task(takes_context=True)(function)


@pytest.mark.parametrize("function", [of_context, of_context_async], ids=["sync", "async"])
def test_a_function_that_takes_a_context_may_be_sync_or_async(function: Any) -> None:
    assert task(takes_context=True)(function).takes_context


# Backends


def test_a_task_knows_its_backend() -> None:
    assert type(tasks.add.get_backend()) is LeekBackend
    other = tasks.add.using(backend="other")
    assert type(other.get_backend()).__name__ == "ImmediateBackend"
    assert tasks.add.backend == "default"


def test_the_default_backend_is_that_of_its_alias() -> None:
    assert default_task_backend == task_backends["default"]
    assert type(task_backends["default"]) is LeekBackend
    assert (default_task_backend.alias, default_task_backend.options) == ("default", {})


def test_a_backend_has_the_queues_of_its_settings() -> None:
    found = [task_backends[alias].queues for alias in ("default", "mail", "any")]
    assert found == [{"default"}, {"mail", "news"}, set()]


def test_the_backend_supports_all_that_the_framework_knows() -> None:
    flags = {name for name in dir(LeekBackend) if name.startswith("supports_")}
    assert {name for name in flags if getattr(default_task_backend, name)} == flags
    assert len(flags) >= 4


def test_a_backend_has_nothing_to_complain_of() -> None:
    assert [*default_task_backend.check()] == []


def test_settings_of_tests_make_other_backends() -> None:
    before = task_backends["default"]
    with override_settings(TASKS={"default": {"BACKEND": LEEK, "QUEUES": ["letters"]}}):
        assert task_backends["default"] is not before
        assert default_task_backend.queues == {"letters"}
        with pytest.raises(InvalidTaskBackend):
            tasks.add.using(backend="mail")
    assert default_task_backend.queues == {"default"}


def test_tasks_of_the_site_can_be_made_dummies_by_settings_of_tests() -> None:
    dummy = f"{FRAMEWORK}.backends.dummy.DummyBackend"
    with override_settings(TASKS={"default": {"BACKEND": dummy}}):
        result = tasks.add.enqueue(1, 2)
        assert [each.id for each in default_task_backend.results] == [result.id]  # type: ignore[attr-defined]


# Copies


@pytest.mark.parametrize("a_task", [tasks.add, tasks.take_any_async, tasks.tell_context])
@in_each_way_of_copying
def test_copies_of_a_task_are_equal(a_task: Any, duplicate: Callable[[Any], Any]) -> None:
    changed = a_task.using(
        priority=3, run_after=timezone.now(), timeout=30, retry_on=[OSError], requires=["smtp"]
    )
    for each in (a_task, changed):
        made = duplicate(each)
        assert made == each
        assert type(made) is LeekTask
        assert made.func is each.func


@by_import_path
@pytest.mark.parametrize("path", ["shop.tasks.missing", "builtins.any", "tests.site.tasks.add"])
def test_a_pickle_that_leads_to_no_task_is_refused(path: str) -> None:
    reduced: Any = tasks.add.__reduce__()
    reconstruct, (values,) = reduced
    with pytest.raises(ValueError, match=f"Expected '{path}' to point to a Task instance"):
        reconstruct({**values, "func": path})
