"""Several aliases of TASKS at leek: other queues, other servers, other releases."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from leek.framework import InvalidTask, InvalidTaskBackend, task_backends
from leek.models import QueuedTasks
from leek.testing import run_pushed
from tests.conftest import StartServer
from tests.integration.backend.outcomes import finished
from tests.settings import TASKS
from tests.site import django_tasks
from tests.site.models import Runs
from tests.support import ROOT, free_port

pytestmark = pytest.mark.django_db

plain: Any = django_tasks

EnvironmentOf = Callable[[dict[str, Any]], dict[str, str]]


@pytest.fixture
def site_with(tmp_path: Path) -> EnvironmentOf:
    """Return a function that returns the environment of a site with another TASKS."""

    def environment_with(aliases: dict[str, Any]) -> dict[str, str]:
        code = f"from tests.settings import *\n\nTASKS = {aliases!r}\n"
        (tmp_path / "other_site.py").write_text(code)
        return {"DJANGO_SETTINGS_MODULE": "other_site", "PYTHONPATH": f"{ROOT}:{tmp_path}"}

    return environment_with


def test_servers_serve_the_queues_of_their_aliases(start_server: StartServer) -> None:
    mailed = plain.add.using(backend="mail", queue_name="mail").enqueue(1, 2)
    news = plain.add.using(backend="mail", queue_name="news").enqueue(3, 4)
    default = plain.add.enqueue(5, 6)
    start_server("--queues", "mail")
    assert finished(mailed).return_value == 3
    assert (mailed.backend, mailed.task.backend, mailed.task.queue_name) == ("mail",) * 3
    for waiting in (news, default):
        waiting.refresh()
        assert waiting.status == "READY"
    start_server("--queues", "default,news", port=free_port())
    assert finished(news).return_value == 7
    assert finished(default).return_value == 11
    assert mailed.worker_ids != news.worker_ids == default.worker_ids


def test_any_alias_finds_a_result_and_says_whose_it_is() -> None:
    result = plain.add.using(backend="mail", queue_name="mail").enqueue(1, 2)
    for alias in ("default", "mail", "any"):
        found = task_backends[alias].get_result(result.id)
        assert found == result
        assert found.backend == found.task.backend == "mail"


@pytest.mark.parametrize(
    ("alias", "queue"), [("default", "mail"), ("mail", "default"), ("mail", "Mail"), ("any", "")]
)
def test_a_queue_that_the_alias_does_not_have_is_refused(alias: str, queue: str) -> None:
    with pytest.raises(InvalidTask, match=r"is not valid for backend|Give a name"):
        plain.add.using(backend=alias, queue_name=queue)


def test_an_alias_may_allow_any_queue_that_can_be_stored() -> None:
    anywhere = plain.add.using(backend="any", queue_name="q" * 100)
    assert QueuedTasks.objects.get(pk=anywhere.enqueue(1, 2).id).queue == "q" * 100
    with pytest.raises(InvalidTask, match="Give a name of 1 to 100 characters"):
        plain.add.using(backend="any", queue_name="q" * 101)


def test_a_task_whose_queue_is_allowed_no_more_still_runs_and_has_its_result() -> None:
    mail = plain.add.using(backend="mail", queue_name="mail")
    result = mail.enqueue(1, 2)
    narrow = {"mail": {"BACKEND": "leek.backend.LeekBackend", "QUEUES": ["news"]}}
    with override_settings(TASKS=TASKS | narrow):
        assert [row.result for row in run_pushed()] == [3]
        assert task_backends["mail"].get_result(result.id).task == mail
        with pytest.raises(InvalidTask):
            mail.enqueue(1, 2)


# Rolling deploys


@pytest.mark.parametrize("declared", [plain.tell_context, plain.tell_context_async])
def test_a_task_of_an_alias_that_the_server_does_not_know_runs_without_signals(
    start_server: StartServer, site_with: EnvironmentOf, declared: Any
) -> None:
    known: dict[str, Any] = {"default": TASKS["default"]}
    server = start_server(**site_with(known), TESTS_ENDS="1")
    unknown = finished(declared.using(backend="any").enqueue(1))
    assert unknown.return_value[0] == 1
    assert unknown.backend == "any"
    known_one = finished(plain.add.enqueue(1, 2))
    assert server.terminate() == 0
    assert [run.tag for run in Runs.objects.all()] == [f"end of {known_one.id} SUCCESSFUL 1"]


def test_a_server_without_the_setting_runs_what_others_enqueue(
    start_server: StartServer, site_with: EnvironmentOf
) -> None:
    immediate = {"default": TASKS["other"]}
    server = start_server(**site_with(immediate), TESTS_ENDS="1")
    assert finished(plain.tell_context.enqueue(1)).return_value[0] == 1
    assert server.terminate() == 0


def test_a_task_of_an_alias_that_is_gone_keeps_its_result() -> None:
    result = plain.add.using(backend="any").enqueue(1, 2)
    with override_settings(TASKS={"default": TASKS["default"]}):
        run_pushed()
        found = plain.add.get_result(result.id)
        assert (found.return_value, found.backend) == (3, "any")
        with pytest.raises(InvalidTaskBackend):
            found.refresh()
