"""When Django's tasks framework is imported, and what becomes of its tasks where there is none."""

from pathlib import Path
from typing import Any

import django
import pytest

from leek.api import push_task_to_queue
from leek.exceptions import TaskFailed
from leek.models import QueuedTasks, State
from tests.conftest import StartServer
from tests.settings import FRAMEWORK
from tests.site import django_policies, django_tasks, tasks
from tests.support import ROOT, manage, python, wait_until

plain: Any = django_tasks
site: Any = django_policies
of_plain: Any = site.task()(tasks.add)  # whose module knows nothing of the framework

WITHOUT = {"DJANGO_SETTINGS_MODULE": "tests.without_framework"}
in_5_2 = pytest.mark.skipif(django.VERSION >= (6, 0), reason="Django 6 has a tasks framework")

# Without the framework


@in_5_2
@pytest.mark.django_db(transaction=True)
class TestWithoutTheFramework:
    """Django 5.2 without the package for it."""

    def test_leek_works(self, start_server: StartServer) -> None:
        start_server(**WITHOUT)
        assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
        like_one = push_task_to_queue(tasks.echo, enqueued={"at": "noon"})
        assert like_one.wait(60)["kwargs"] == {"enqueued": {"at": "noon"}}

    def test_a_task_that_was_enqueued_elsewhere_is_parked_until_a_server_has_it(
        self, start_server: StartServer
    ) -> None:
        former = start_server(**WITHOUT)
        rows = [QueuedTasks.objects.get(pk=each.enqueue(1, 2).id) for each in (of_plain, plain.add)]
        parked = QueuedTasks.objects.exclude(parked_since=None)
        wait_until(lambda: parked.count() == 2, "the parking")
        assert set(parked.values_list("state", "tries")) == {(State.DEFERRED, 0)}
        assert former.terminate() == 0
        assert f"Task {rows[0].pk} tests.site.tasks.add is parked" in former.log
        assert "pip install django-leek[tasks]" in former.log
        start_server()
        assert [row.wait(60) for row in rows] == [3, 3]

    @pytest.mark.logs_errors
    def test_a_task_that_stays_without_it_fails_and_says_what_to_install(
        self, start_server: StartServer
    ) -> None:
        server = start_server(LEEK_PARK_FOR="0", **WITHOUT)
        row = QueuedTasks.objects.get(pk=of_plain.enqueue(1, 2).id)
        with pytest.raises(TaskFailed, match=r"pip install django-leek\[tasks\]"):
            row.wait(60)
        assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
        assert server.terminate() == 0
        assert "met an error" not in server.log
        assert "goes on after an error" not in server.log

    def test_a_setting_that_names_leek_is_an_error_of_the_checks(self, tmp_path: Path) -> None:
        (tmp_path / "naming_leek.py").write_text(
            "from tests.without_framework import *\n"
            'TASKS = {"default": {"BACKEND": "leek.backend.LeekBackend"}}\n'
        )
        place = {
            "DJANGO_SETTINGS_MODULE": "naming_leek",
            "PYTHONPATH": f"{ROOT}:{tmp_path}",
        }
        for command in ("check", "leek_server"):
            answer = manage(command, **place)
            assert answer.returncode == 1
            assert '(leek.E007) TASKS["default"] needs the tasks framework' in answer.stderr
            assert "pip install django-leek[tasks]" in answer.stderr


# Early imports

EARLY = """
from tests.settings import *

INSTALLED_APPS = ["early", *INSTALLED_APPS]
"""
APP = """
from leek.backend import LeekBackend
from leek.django_task import LeekTask
from early.tasks import add

assert add.get_backend().__class__ is LeekBackend and type(add) is LeekTask
"""
TASKS = f"""
from {FRAMEWORK} import task
from leek.policy import policy

@task
@policy(max_retries=2)
def add(first, second):
    return first + second

later = add.using(timeout=5, atomic=True, requires=["smtp"], key=lambda first, second: first)
"""


@pytest.mark.parametrize("place", ["__init__", "apps", "models"])
def test_tasks_may_be_defined_before_django_is_set_up(tmp_path: Path, place: str) -> None:
    (tmp_path / "early_settings.py").write_text(EARLY)
    package = tmp_path / "early"
    package.mkdir()
    for name in ("__init__", "apps", "models"):
        (package / f"{name}.py").write_text(APP if name == place else "")
    (package / "tasks.py").write_text(TASKS)
    answer = python(
        "-c",
        "import django; django.setup(); from early.tasks import later; print(later.name)",
        DJANGO_SETTINGS_MODULE="early_settings",
        PYTHONPATH=f"{ROOT}:{tmp_path}",
    )
    assert answer.stdout == "add\n", answer.stderr


# A start without the framework

NOT_SET = """
from tests.settings import *

INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "django_tasks"]
del TASKS
"""
DRAIN = """
import sys
import django
from django.core.management import call_command
django.setup()
try:
    call_command("leek_server", "--drain", "--port", "0")
finally:
    print("Imported:", any(name in sys.modules for name in ("django.tasks", "django_tasks")))
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_set", [False, True])
def test_a_server_imports_the_framework_only_where_there_is_a_setting_for_it(
    tmp_path: Path, *, is_set: bool
) -> None:
    row = push_task_to_queue(tasks.add, 1, 2)
    (tmp_path / "not_set.py").write_text(NOT_SET)
    settings = "tests.settings" if is_set else "not_set"
    place = {"DJANGO_SETTINGS_MODULE": settings, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    answer = python("-c", DRAIN, **place)
    assert f"Imported: {is_set}\n" in answer.stdout, answer
    assert row.wait(60) == 3


def test_options_that_cannot_be_used_end_the_checks_and_the_server(
    tmp_path: Path,
) -> None:
    (tmp_path / "wrong.py").write_text(
        "from tests.settings import *\n"
        'TASKS = {"default": {**TASKS["default"], "OPTIONS": {"max_tries": 3}}}\n'
    )
    place = {"DJANGO_SETTINGS_MODULE": "wrong", "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    answer = manage("check", **place)
    assert answer.returncode == 1
    assert answer.stderr.count("(leek.E006)") == 1
    assert "max_tries is no option of leek" in answer.stderr
    answer = manage("leek_server", "--drain", "--port", "0", **place)
    assert answer.returncode == 1
    assert answer.stderr.startswith('CommandError: TASKS["default"]: max_tries is no option')
    assert answer.stderr.endswith('Correct TASKS["default"]["OPTIONS"].\n')
