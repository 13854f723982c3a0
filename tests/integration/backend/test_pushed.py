"""What is pushed is no task of Django's framework, whatever TASKS says."""

from typing import Any

import pytest
from django.test import override_settings

from leek import exceptions
from leek.api import push_many, push_task_to_queue, using
from leek.framework import TaskResultDoesNotExist, task_backends, task_finished, task_started
from leek.models import QueuedTasks
from leek.serializer import load_task
from leek.task import find
from leek.testing import run_pushed
from tests.conftest import StartServer
from tests.settings import FRAMEWORK
from tests.site import django_policies, django_tasks, tasks
from tests.site.models import Runs
from tests.support import wait_until

pytestmark = pytest.mark.django_db

site: Any = django_policies  # Django's stubs know nothing of pushing
plain: Any = django_tasks

TEXT = '"enqueued": {"at": "2026-12-24T12:00:00+00:00", "backend": "default"}'
LIKE_ONE = {"enqueued": {"at": "2026-12-24T12:00:00+00:00", "backend": "default"}}


@pytest.mark.parametrize("backend", ["dummy.DummyBackend", "immediate.ImmediateBackend"])
def test_a_push_of_a_task_is_one_of_its_function_whatever_the_setting_says(backend: str) -> None:
    path = f"{FRAMEWORK}.backends.{backend}"
    with override_settings(TASKS={"default": {"BACKEND": path}}):
        row = push_task_to_queue(plain.add, 1, second=2)
        assert QueuedTasks.objects.get() == row
        assert run_pushed() == [row]
    row.refresh_from_db()
    assert (row.name, row.result) == ("tests.site.django_tasks.add", 3)
    assert load_task(row.payload, "json").enqueued is None


def test_a_push_is_counted_and_prioritised_by_the_policy_of_the_function_only() -> None:
    row = push_task_to_queue(site.by_policy)
    assert (row.queue, row.priority) == ("mail", 7)
    assert site.fail_twice.max_retries == 2
    assert load_task(push_task_to_queue(site.fail_twice).payload, "json").options == {}


def test_what_was_pushed_has_no_result_of_the_framework() -> None:
    row = push_task_to_queue(plain.add, 1, 2)
    for _ in range(2):
        with pytest.raises(TaskResultDoesNotExist, match=f"Task {row.pk} was pushed, not enqueued"):
            plain.add.get_result(str(row.pk))
        run_pushed()


# A context

WITH_CONTEXT = [
    plain.tell_context,
    plain.tell_context_async,
    plain.tell_context.func,
    site.write_at,
]


@pytest.mark.parametrize("a_callable", WITH_CONTEXT)
@pytest.mark.parametrize("args", [(), (5,), (None, 5, "tag")])
def test_a_task_that_takes_a_context_is_to_be_enqueued(a_callable: Any, args: Any) -> None:
    name = getattr(a_callable, "__name__", None) or a_callable.name
    expected = rf"{name} is a Task that takes a context, .* Call {name}\.enqueue\(\.\.\.\) instead"
    for push in (push_task_to_queue, using(max_retries=2).push):
        with pytest.raises(exceptions.InvalidTask, match=expected):
            push(a_callable, *args)
    with pytest.raises(exceptions.InvalidTask, match=expected):
        push_many([(tasks.noop, (), {}), (a_callable, args, {})])
    assert not QueuedTasks.objects.exists()


def test_the_function_of_a_task_that_takes_a_context_is_not_pushed() -> None:
    function = find("tests.site.django_tasks.tell_context")
    with pytest.raises(exceptions.InvalidTask, match="takes a context"):
        push_task_to_queue(function, 5)


def test_a_task_by_another_name_is_not_pushed_without_its_context() -> None:
    by_another_name = plain.task(takes_context=True)(plain_with_context)
    with pytest.raises(exceptions.InvalidTask, match="takes a context"):
        push_task_to_queue(by_another_name, 5)
    assert push_task_to_queue(plain_with_context, "a context", 5).pk


def plain_with_context(context: Any, number: int) -> int:
    return number


# What looks like an enqueued task and is none


def test_arguments_that_look_like_it_make_no_task_of_the_framework() -> None:
    told: list[Any] = []

    def note(**facts: Any) -> None:
        told.append(facts)

    for signal in (task_started, task_finished):
        signal.connect(note)
    try:
        rows = [
            push_task_to_queue(tasks.echo, TEXT, **LIKE_ONE),
            push_task_to_queue(tasks.echo, [LIKE_ONE], **LIKE_ONE),
            using(max_retries=1).push(tasks.fail, LIKE_ONE),
        ]
        assert [row.status for row in run_pushed()] == ["SUCCESSFUL", "SUCCESSFUL", "FAILED"]
        cancelled = push_task_to_queue(tasks.echo, **LIKE_ONE)
        assert cancelled.cancel()
    finally:
        for signal in (task_started, task_finished):
            signal.disconnect(note)
    assert told == []
    for row in (*rows, cancelled):
        assert load_task(row.payload, "json").enqueued is None
        with pytest.raises(TaskResultDoesNotExist):
            task_backends["default"].get_result(str(row.pk))


def test_a_server_tells_the_framework_of_no_pushed_task(start_server: StartServer) -> None:
    server = start_server(TESTS_ENDS="1")
    like_one = push_task_to_queue(tasks.echo, **LIKE_ONE)
    assert like_one.wait(60)["kwargs"] == LIKE_ONE
    result = plain.add.enqueue(1, 2)
    wait_until(Runs.objects.exists, "the end")
    assert server.terminate() == 0
    assert [run.tag for run in Runs.objects.all()] == [f"end of {result.id} SUCCESSFUL 1"]


def test_the_setting_serializer_does_not_matter_to_what_is_enqueued() -> None:
    for mode in ("pickle", "json", "auto"):
        with override_settings(TASKS_QUEUE={"SERIALIZER": mode}):
            result = plain.echo.enqueue((1, 2), b"bytes")
            row = QueuedTasks.objects.get(pk=result.id)
            assert '"args": [[1, 2], "bytes"]' in row.payload
            run_pushed()
        assert plain.echo.get_result(result.id).return_value == [[[1, 2], "bytes"], {}]


def test_both_stand_in_the_same_queue() -> None:
    first = push_task_to_queue(tasks.record, "pushed")
    second = site.record.enqueue("enqueued")
    urgent = site.record.using(priority=5).enqueue("urgent")
    assert [row.pk for row in run_pushed()] == [int(urgent.id), first.pk, int(second.id)]
    assert [run.tag for run in Runs.objects.order_by("pk")] == ["urgent", "pushed", "enqueued"]
