"""What surrounds a task, in every place where one runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import override_settings
from django.utils import timezone, translation

from leek.api import apush_task_to_queue, current_task, push_many, push_task_to_queue, using
from leek.context import request_id
from leek.exceptions import InvalidTask
from leek.models import QueuedTasks, Status
from tests.conftest import StartServer
from tests.site import tasks

pytestmark = pytest.mark.any_version

PATH = "tests.site.tasks.tenant"
GIVEN = ["de", "Europe/Berlin", "7d1c", 42]
USUAL = ["en-us", "UTC", None, "nobody's"]

PLACES = [(), ("--isolate",)]
in_every_place = pytest.mark.parametrize("arguments", PLACES, ids=["threads", "isolate"])
of_each_kind = pytest.mark.parametrize(
    "a_callable", [tasks.surroundings, tasks.surroundings_slowly], ids=["sync", "async"]
)

of_each_kind_that_tells = pytest.mark.parametrize(
    "a_callable", [tasks.tell_of_itself, tasks.tell_of_itself_slowly], ids=["sync", "async"]
)


@contextmanager
def having(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    """Let a context variable have a value."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


@pytest.fixture
def surrounded() -> Iterator[None]:
    """Let this test have surroundings of its own."""
    with (
        override_settings(TASKS_QUEUE={"CONTEXT": [PATH]}),
        translation.override("de"),
        timezone.override("Europe/Berlin"),
        having(request_id, "7d1c"),
        having(tasks.tenant, 42),
    ):
        yield


@of_each_kind
@in_every_place
@pytest.mark.usefixtures("surrounded")
def test_a_task_has_the_surroundings_of_its_push_and_leaves_none(
    start_server: StartServer, arguments: tuple[str, ...], a_callable: Callable[..., Any]
) -> None:
    start_server(*arguments, "--workers", "1")
    rows = push_many([(a_callable, (), {})] * 2)
    plain = Context().run(push_task_to_queue, a_callable)
    assert [row.wait(60) for row in rows] == [GIVEN, GIVEN]
    assert plain.wait(60) == USUAL


@pytest.mark.usefixtures("surrounded")
def test_a_push_from_async_code_has_its_surroundings(start_server: StartServer) -> None:
    start_server()
    row = async_to_sync(apush_task_to_queue)(tasks.surroundings)
    assert row.wait(60) == GIVEN


@pytest.mark.usefixtures("surrounded")
def test_a_task_with_options_has_them_as_well(start_server: StartServer) -> None:
    start_server()
    assert using(max_retries=5, priority=1).push(tasks.surroundings).wait(60) == GIVEN


@in_every_place
@pytest.mark.logs_errors
@pytest.mark.usefixtures("surrounded")
def test_a_variable_that_was_renamed_fails_no_task(
    start_server: StartServer, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tasks, "lodger", tasks.tenant, raising=False)
        with override_settings(TASKS_QUEUE={"CONTEXT": ["tests.site.tasks.lodger"]}):
            row = push_task_to_queue(tasks.surroundings)
    server = start_server(*arguments)
    assert row.wait(60) == [*GIVEN[:3], "nobody's"]
    assert "The context variable tests.site.tasks.lodger cannot be restored" in server.log


@pytest.mark.django_db
@pytest.mark.usefixtures("surrounded")
def test_a_variable_that_cannot_be_stored_is_refused_by_name() -> None:
    with having(tasks.tenant, object()), pytest.raises(InvalidTask, match=PATH):
        push_task_to_queue(tasks.noop)
    assert not QueuedTasks.objects.exists()


@pytest.mark.django_db
@of_each_kind
@pytest.mark.usefixtures("surrounded")
def test_an_eager_task_has_the_surroundings_of_its_push_and_leaves_none(
    a_callable: Callable[..., Any],
) -> None:
    with override_settings(TASKS_QUEUE={"CONTEXT": [PATH], "EAGER": True}):
        assert push_task_to_queue(a_callable).result == GIVEN
        assert Context().run(tasks.surroundings) == USUAL
        assert [translation.get_language(), tasks.tenant.get()] == ["de", 42]


@pytest.mark.django_db
@pytest.mark.usefixtures("surrounded")
def test_an_eager_task_has_no_variable_that_a_server_would_not_give_it() -> None:
    with override_settings(TASKS_QUEUE={"EAGER": True}):
        assert push_task_to_queue(tasks.surroundings).result == [*GIVEN[:3], "nobody's"]


# What a task knows of itself


@in_every_place
def test_a_task_knows_itself_wherever_its_code_runs(
    start_server: StartServer, arguments: tuple[str, ...]
) -> None:
    start_server(*arguments)
    for a_callable in (tasks.tell_of_itself, tasks.tell_of_itself_slowly):
        row = push_task_to_queue(a_callable)
        expected = {
            "id": row.pk,
            "name": row.name,
            "attempt": 1,
            "max_retries": 3,
            "is_last_try": False,
            "timeout": None,
        }
        assert row.wait(60) in (expected, [expected] * 4)


@in_every_place
def test_a_task_knows_at_which_attempt_it_is(
    start_server: StartServer, arguments: tuple[str, ...]
) -> None:
    start_server(*arguments, LEEK_RETRY_DELAY="0.01")
    told = push_task_to_queue(tasks.fail_before, 3).wait(60)
    assert (told["attempt"], told["is_last_try"]) == (3, True)


@pytest.mark.django_db
@of_each_kind_that_tells
def test_an_eager_task_knows_that_it_is_tried_once(a_callable: Callable[..., Any]) -> None:
    with override_settings(TASKS_QUEUE={"EAGER": True}):
        row = using(max_retries=5).push(a_callable)
    told = row.result if isinstance(row.result, dict) else row.result[-1]
    assert (told["id"], told["max_retries"], told["is_last_try"]) == (row.pk, 1, True)
    assert current_task() is None


@pytest.mark.django_db
def test_an_eager_task_that_asks_for_another_try_gets_none() -> None:
    with override_settings(TASKS_QUEUE={"EAGER": True}):
        row = using(max_retries=5).push(tasks.fail_before, 3)
    assert (row.status, row.tries) == (Status.FAILED, 1)


@in_every_place
def test_the_tasks_of_a_worker_share_their_caches(
    start_server: StartServer, arguments: tuple[str, ...]
) -> None:
    start_server(*arguments, "--workers", "1")
    assert push_task_to_queue(tasks.mark_cache, "first").wait(60) is None
    assert push_task_to_queue(tasks.mark_cache, "second").wait(60) == "first"
