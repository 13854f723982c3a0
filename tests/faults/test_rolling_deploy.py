"""Servers of two releases side by side: tasks wait for the code that they need."""

from pathlib import Path

import pytest
from django.db import transaction

from leek.api import push_many, push_task_to_queue
from leek.models import QueuedTasks
from leek.serializer import dump_task
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import ROOT, LeekServer, free_port, wait_until

FORMER = """
def greet(name):
    return f"former: {name}"

def count():
    return "former"
"""
NEXT = """
def welcome(name):  # greet, before
    return f"next: {name}"

def count():
    return "next"

def thank():
    return "next"
"""
ADDED = "def ship():\n    return 'next'\n"


@pytest.fixture
def releases(tmp_path: Path) -> dict[str, dict[str, str]]:
    """Return the environments of both releases, by their names."""
    for release, code in (("former", FORMER), ("next", NEXT)):
        package = tmp_path / release / "rolling"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "tasks.py").write_text(code)
    (tmp_path / "next" / "rolling" / "orders.py").write_text(ADDED)
    environments = {
        release: {"PYTHONPATH": f"{ROOT}:{tmp_path / release}"} for release in ("former", "next")
    }
    environments["next"]["LEEK_ALIASES"] = "rolling.tasks.greet=rolling.tasks.welcome"
    return environments


def push(path: str, *args: str) -> QueuedTasks:
    """Push as a site of either release does, whose code is not there in this process."""
    with transaction.atomic():  # no server sees it before it is complete
        row = push_task_to_queue(tasks.noop)
        row.name, row.payload = path, dump_task(path, args, {}, "auto")
        row.save()
    return row


def parked_by(server: LeekServer, row: QueuedTasks) -> None:
    """Wait until a server has claimed this task and found that it cannot run it."""
    wait_until(lambda: f"Task {row.pk} {row.name} is parked" in server.log, f"parking {row}")


def test_tasks_wait_for_the_release_that_knows_them(
    start_server: StartServer, releases: dict[str, dict[str, str]]
) -> None:
    rows = [push("rolling.tasks.thank"), push("rolling.orders.ship")]
    former = start_server(**releases["former"])
    for row in rows:
        parked_by(former, row)
    start_server(port=free_port(), **releases["next"])
    assert [row.wait(60) for row in rows] == ["next", "next"]
    assert [(row.tries, row.crashes) for row in rows] == [(1, 0), (1, 0)]
    assert not former.ended


def test_the_former_release_goes_on_with_what_it_knows(
    start_server: StartServer, releases: dict[str, dict[str, str]]
) -> None:
    new = push("rolling.tasks.thank")
    former = start_server(**releases["former"])
    parked_by(former, new)
    assert push("rolling.tasks.count").wait(60) == "former"
    assert push("rolling.tasks.greet", "Ada").wait(60) == "former: Ada"
    start_server(port=free_port(), **releases["next"])
    push_many([(tasks.noop, (), {})] * 50)
    assert {push("rolling.tasks.count").wait(60) for _ in range(5)} <= {"former", "next"}
    assert new.wait(60) == "next"
    assert former.terminate() == 0
    assert push("rolling.tasks.count").wait(60) == "next"


def test_a_renamed_task_runs_on_either_release(
    start_server: StartServer, releases: dict[str, dict[str, str]]
) -> None:
    former = start_server(**releases["former"])
    assert push("rolling.tasks.greet", "Ada").wait(60) == "former: Ada"
    by_its_new_name = push("rolling.tasks.welcome", "Bob")
    parked_by(former, by_its_new_name)
    start_server(port=free_port(), **releases["next"])
    assert by_its_new_name.wait(60) == "next: Bob"
    assert former.terminate() == 0
    assert push("rolling.tasks.greet", "Cyd").wait(60) == "next: Cyd"
