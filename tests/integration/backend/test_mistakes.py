"""What a site may get wrong with the backend: each error names the value and the remedy."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from leek.exceptions import InvalidTask as LeeksInvalidTask
from leek.framework import InvalidTask, task_backends
from leek.policy import policy
from leek.testing import run_pushed
from tests.site import django_tasks as tasks
from tests.support import ROOT, python

WITHOUT_THE_APP = """
from tests.settings import *

INSTALLED_APPS = [app for app in INSTALLED_APPS if app not in ("leek", "tests.site")]
"""


@pytest.mark.parametrize(
    "what",
    [
        "from tests.site.django_tasks import noop; noop.enqueue()",
        "import leek.mail",
        "import leek.api",
    ],
)
def test_the_app_that_is_not_installed_is_named(what: str, tmp_path: Path) -> None:
    (tmp_path / "without_the_app.py").write_text(WITHOUT_THE_APP)
    place = {"DJANGO_SETTINGS_MODULE": "without_the_app", "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    answer = python("-c", f"import django; django.setup(); {what}", **place)
    assert answer.returncode == 1
    assert 'ImproperlyConfigured: leek needs its tables. Add "leek" to INSTALLED_APPS.' in (
        answer.stderr
    )


def test_queues_that_are_a_text_are_reported() -> None:
    backend = "leek.backend.LeekBackend"
    with override_settings(TASKS={"default": {"BACKEND": backend, "QUEUES": "mail"}}):
        (message,) = task_backends["default"].check()
    assert (message.id, message.hint) == (
        "leek.E006",
        'Make TASKS["default"]["QUEUES"] a list of names.',
    )


def test_a_queue_that_the_alias_does_not_take_is_named_with_those_it_does() -> None:
    with pytest.raises(InvalidTask) as caught:
        tasks.add.using(queue_name="mail")
    assert str(caught.value) == (
        'Queue \'mail\' is not valid for backend. Add it to TASKS["default"]["QUEUES"], where'
        " there are: default."
    )


@pytest.mark.parametrize("run_after", [60, "tomorrow"])
def test_a_due_time_that_is_none_is_named(run_after: Any) -> None:
    with pytest.raises(InvalidTask, match=f"run_after is {run_after!r}. Give a datetime or a"):
        tasks.add.using(run_after=run_after)
    assert tasks.add.using(run_after=timedelta(1)).run_after  # type: ignore[arg-type]


def test_an_option_by_another_name_is_answered_with_all_names() -> None:
    with pytest.raises(
        TypeError, match=r"'queue' is no option\. There are: priority, queue_name, "
    ):
        tasks.add.using(queue="mail")  # type: ignore[call-arg]


def test_a_policy_above_the_task_is_refused_by_its_name() -> None:
    with pytest.raises(LeeksInvalidTask, match=r"^add is a Task already\. Put @policy below @task"):
        policy(max_retries=1)(tasks.add)  # type: ignore[type-var]


@pytest.mark.django_db
def test_the_part_of_a_return_value_that_is_not_json_is_named() -> None:
    tasks.give.enqueue("a set in a list")
    (row,) = run_pushed()
    assert row.exception
    assert row.exception.message == "the return value[0]: Unsupported type: <class 'set'>"
