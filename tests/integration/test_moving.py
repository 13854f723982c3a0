"""The tables of "Moving in and out": what is set in type in them works, on both sides.

The left side needs the other queue, and is tried where that is installed: see `tests.moving`.
"""

import json
import shlex
import subprocess
import sys
from contextvars import Context
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import django
import pytest
from django.db import transaction
from django.test import override_settings
from django.utils import timezone
from docutils import nodes

import leek
import leek.api
import leek.models
import leek.signals
import leek.testing
from leek import conf
from leek.conf import DEFAULTS
from leek.current import CurrentTask, enter
from leek.framework import TaskContext, task_backends
from leek.policy import PolicyOptions
from tests.integration.test_readme import LEEK_BACKEND, parsed, section
from tests.moving.sites import MODULES
from tests.support import ROOT

pytestmark = pytest.mark.any_database

framework = import_module("django.tasks" if django.VERSION >= (6, 0) else "django_tasks")
ENTRY = {"task": "builtins.len", "args": [[]]}  # of SCHEDULE


def literals_of(title: str, column: int) -> list[str]:
    """Return what is set in type in a column of the table of a section, without what repeats."""
    rows = next(section(title).findall(nodes.tbody)).children
    cells = (row.children[column] for row in rows)
    found = [node.astext() for cell in cells for node in cell.findall(nodes.literal)]
    return [*dict.fromkeys(text.replace("\n", " ") for text in found)]


@pytest.mark.parametrize("queue", MODULES)
def test_what_you_have_is_known_to_the_other_queue(queue: str) -> None:
    if missing := [name for name in MODULES[queue] if find_spec(name) is None]:
        pytest.skip(f"{', '.join(missing)} not installed")
    done = subprocess.run(
        [sys.executable, "-m", "tests.moving", queue],
        input=json.dumps(literals_of(f"From {queue}", 0)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def names(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what the calls of the tables need; `members.tasks` can be imported meanwhile."""
    settings.TASKS_QUEUE = {"EAGER": True}
    settings.TASKS = {"default": {"BACKEND": LEEK_BACKEND, "QUEUES": ["default", "mail"]}}
    members = ModuleType("members.tasks")
    exec("def welcome(user_id): return user_id", vars(members))
    monkeypatch.setitem(sys.modules, "members", ModuleType("members"))
    monkeypatch.setitem(sys.modules, "members.tasks", members)
    found: dict[str, Any] = {}
    for module in (leek.models, leek.signals, leek.testing, leek.api):
        found |= vars(module)
    return found | {
        "welcome": vars(members)["welcome"],
        "row": leek.api.push_task_to_queue(vars(members)["welcome"], 42),
        "when": timezone.now() + timedelta(days=1),
        "timedelta": timedelta,
        "leek": leek,
    }


LEEKS_SIDES = [*((f"From {queue}", 1) for queue in MODULES), ("Out of leek", 0)]


@pytest.mark.parametrize(("title", "column"), LEEKS_SIDES)
def test_what_you_write_is_known_to_leek(title: str, column: int, names: dict[str, Any]) -> None:
    found = literals_of(title, column)
    assert found
    for text in found:
        Context().run(attempt, text, names)


def test_what_any_backend_has_is_known_to_the_framework(names: dict[str, Any]) -> None:
    task = framework.task()(names["welcome"])
    result = task.enqueue(42)
    for backend in ("dummy", "immediate"):
        names |= vars(import_module(f"{framework.__name__}.backends.{backend}"))
    names |= {
        "welcome": task,
        "result": result,
        "task": framework.task,
        "context": TaskContext(task_result=result),
        "takes_context": task.takes_context,
        "QUEUES": task.get_backend().queues,
        "transaction": transaction,
        "django": django,
        "django_tasks": framework,
    }
    for text in literals_of("Out of leek", 1):
        eval(text.replace("django.tasks", framework.__name__).removeprefix("@"), names)


def attempt(text: str, names: dict[str, Any]) -> None:
    """Do what a reader writes, in a task; raise where leek does not know it."""
    enter(CurrentTask(4711, "welcome", 1, 3, False, timezone.now(), None))
    if text in PolicyOptions.__annotations__:
        return
    if text.startswith("leek_"):
        command, *arguments = shlex.split(text)
        parsed(command, arguments)
    elif text.startswith('"'):
        check_settings(text, names)
    elif text.startswith("raise "):
        with pytest.raises((leek.api.GiveUp, leek.api.Retry)):
            exec(text, names)
    elif text.startswith("@"):
        assert eval(text.removeprefix("@"), names)(names["welcome"]) is names["welcome"]
    else:
        eval(text, names)


def check_settings(text: str, names: dict[str, Any]) -> None:
    """Check a part of the settings: of TASKS, of TASKS_QUEUE or of one of its SCHEDULE."""
    if ":" not in text:
        assert text.strip('"') in DEFAULTS
        return
    said = eval(f"{{{text}}}", names)
    if said.keys() <= {"BACKEND", "OPTIONS"}:
        backend = {"BACKEND": LEEK_BACKEND} | said
        with override_settings(TASKS={"default": backend}):
            assert not task_backends["default"].check()
        return
    if not said.keys() <= DEFAULTS.keys():
        said = {"SCHEDULE": {"welcome": ENTRY | said}}
    with override_settings(TASKS_QUEUE=said):
        assert not conf.unknown_keys()
        assert not conf.wrong_values()
