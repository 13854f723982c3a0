"""Tasks of Django's framework that are named by their path: by leek_push and in SCHEDULE."""

import json

import pytest
from django.core.management.base import CommandError

from leek.framework import task_backends, task_enqueued
from leek.models import QueuedTasks
from tests.conftest import StartServer
from tests.site import django_tasks
from tests.support import manage, run, wait_until

CONTEXT = "tests.site.django_tasks.tell_context"


@pytest.mark.django_db(transaction=True)
class TestPush:
    """leek_push."""

    def test_enqueues_a_task_of_the_framework(self, start_server: StartServer) -> None:
        start_server()
        told: list[str] = []
        task_enqueued.connect(receiver := lambda task_result, **_: told.append(task_result.id))
        try:
            printed = run("leek_push", CONTEXT, "--args=[1]", "--priority=7")
        finally:
            task_enqueued.disconnect(receiver)
        row = QueuedTasks.objects.get()
        assert printed == f"Pushed task {row.pk}.\n"
        assert told == [str(row.pk)]
        row.wait(60)
        result = django_tasks.tell_context.get_result(str(row.pk))
        assert result.return_value[0] == 1
        assert result.task == django_tasks.tell_context.using(priority=7)
        explained = manage("leek_status", result.id)
        assert f"Task {row.pk} {CONTEXT}: succeeded" in explained.stdout

    def test_pushes_the_function_of_a_task_of_another_backend(self) -> None:
        run("leek_push", "tests.site.django_aliases.elsewhere", "--args=[1]")
        row = QueuedTasks.objects.get()
        assert '"enqueued"' not in row.payload

    def test_leaves_queue_and_priority_to_the_task(self) -> None:
        run("leek_push", "tests.site.django_aliases.send_news")
        run("leek_push", "tests.site.policies.impatient", '--args=["x"]')
        first, second = QueuedTasks.objects.order_by("pk")
        assert (first.queue, first.priority) == ("news", 3)
        assert (second.queue, second.priority) == ("mail", 7)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([CONTEXT, "--queue=elsewhere"], "elsewhere"),
            ([CONTEXT, "--priority=101"], "priority"),
            (["tests.site.django_tasks.add"], "first"),
            (["tests.site.django_tasks.add", "--args=[NaN]"], r"args\[0\]"),
        ],
    )
    def test_refuses_by_name(self, arguments: list[str], message: str) -> None:
        with pytest.raises(CommandError, match=message):
            run("leek_push", *arguments)
        assert not QueuedTasks.objects.exists()


def test_a_recurring_task_of_the_framework_is_enqueued(start_server: StartServer) -> None:
    entry = {"task": CONTEXT, "every": 0.2, "args": ["tick"], "priority": 4}
    start_server(LEEK_SCHEDULE=json.dumps({"tick": entry}))
    wait_until(lambda: QueuedTasks.objects.exists(), "a push")
    row = QueuedTasks.objects.order_by("pk")[0]
    attempt, task_id, status, _, args = row.wait(60)
    assert (attempt, task_id, status, args) == (1, str(row.pk), "RUNNING", ["tick"])
    result = task_backends["default"].get_result(str(row.pk))
    assert result.task == django_tasks.tell_context.using(priority=4)


@pytest.mark.logs_errors
def test_a_recurring_task_that_its_backend_refuses_is_logged(start_server: StartServer) -> None:
    entry = {"task": CONTEXT, "every": 0.2, "queue": "elsewhere"}
    server = start_server(LEEK_SCHEDULE=json.dumps({"tick": entry}))
    wait_until(lambda: "The recurring task tick is not pushed" in server.log, "the refusal")
    assert "elsewhere" in server.log
